// Compiles the contracts with the pinned solc-js and writes artifacts/<Name>.json: { abi, bytecode, deployedBytecode }.
// `--check` writes nothing and fails if what is committed is not what the sources compile to.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const here = dirname(fileURLToPath(import.meta.url));
const own = readdirSync(join(here, "src")).filter((name) => name.endsWith(".sol")).sort();
// What deployments and tests use of OpenZeppelin's as it is.
const library = ["proxy/ERC1967/ERC1967Proxy.sol", "governance/TimelockController.sol"];
const sources = Object.fromEntries([
  ...own.map((name) => [`src/${name}`, { content: readFileSync(join(here, "src", name), "utf8") }]),
  ...library.map((name) => [`@openzeppelin/contracts/${name}`, { content: read(`@openzeppelin/contracts/${name}`) }]),
]);

function read(path) {
  return readFileSync(join(here, "node_modules", path), "utf8");
}

const input = {
  language: "Solidity",
  sources,
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 200 },
    // No hash of sources and paths in the bytecode: the same code compiles to the same bytes anywhere.
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: (path) => ({ contents: read(path) }) }));
const errors = (output.errors ?? []).filter((error) => error.severity === "error" || error.sourceLocation?.file.startsWith("src/"));
if (errors.length > 0) {
  console.error(errors.map((error) => error.formattedMessage).join("\n"));
  process.exit(1);
}

const wanted = ["DstackKms", "DstackApp", "IAppAuth", "ERC1967Proxy", "TimelockController"];
const check = process.argv.includes("--check");
mkdirSync(join(here, "artifacts"), { recursive: true });
for (const contracts of Object.values(output.contracts)) {
  for (const [name, { abi, evm }] of Object.entries(contracts).filter(([name]) => wanted.includes(name))) {
    const artifact = { abi, bytecode: `0x${evm.bytecode.object}`, deployedBytecode: `0x${evm.deployedBytecode.object}` };
    const json = JSON.stringify(artifact, null, 1) + "\n";
    const file = join(here, "artifacts", `${name}.json`);
    if (!check) {
      writeFileSync(file, json);
      console.log(`${name}: ${evm.deployedBytecode.object.length / 2} bytes of code`);
    } else if (readFileSync(file, "utf8") !== json) {
      console.error(`artifacts/${name}.json is not what the sources compile to: run \`make contracts\``);
      process.exit(1);
    }
  }
}
