// Compiles the contracts with the pinned solc-js: each becomes { abi, bytecode, deployedBytecode } in
// artifacts/<Name>.json, those that only tests use in artifacts/test/. `--check` writes nothing and fails if what is
// committed is not what the sources compile to.
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { chdir } from "node:process";
import solc from "solc";

chdir(import.meta.dirname);
const listed = (folder, ending) =>
  readdirSync(folder).filter((name) => name.endsWith(ending)).sort().map((name) => `${folder}/${name}`);
const load = (path) => readFileSync(path.startsWith("@") ? `node_modules/${path}` : path, "utf8");

// What deployments and tests use of OpenZeppelin's as it is.
const library = ["proxy/ERC1967/ERC1967Proxy.sol", "governance/TimelockController.sol"].map(
  (name) => `@openzeppelin/contracts/${name}`,
);
const sources = [...listed("src", ".sol"), ...listed("test", ".sol"), ...library];

const input = {
  language: "Solidity",
  sources: Object.fromEntries(sources.map((path) => [path, { content: load(path) }])),
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 200 },
    // No hash of sources and paths in the bytecode: the same code compiles to the same bytes anywhere.
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: (path) => ({ contents: load(path) }) }));
// A warning about what is deployed counts as an error.
const errors = (output.errors ?? []).filter((error) => error.severity === "error" || error.sourceLocation?.file.startsWith("src/"));
if (errors.length > 0) fail(errors.map((error) => error.formattedMessage).join("\n"));

const compiled = new Map();
for (const path of sources) {
  for (const [name, { abi, evm }] of Object.entries(output.contracts[path])) {
    // Of a library's file only what it is named after is wanted.
    if (path.startsWith("@") && name !== basename(path, ".sol")) continue;
    const artifact = { abi, bytecode: `0x${evm.bytecode.object}`, deployedBytecode: `0x${evm.deployedBytecode.object}` };
    const folder = path.startsWith("test/") ? "artifacts/test" : "artifacts";
    compiled.set(`${folder}/${name}.json`, JSON.stringify(artifact, null, 1) + "\n");
  }
}

mkdirSync("artifacts/test", { recursive: true });
const committed = [...listed("artifacts", ".json"), ...listed("artifacts/test", ".json")];
if (process.argv.includes("--check")) {
  const files = [...new Set([...committed, ...compiled.keys()])];
  const differing = files.filter((file) => !committed.includes(file) || load(file) !== compiled.get(file));
  if (differing.length > 0) fail(`not what the sources compile to: ${differing.join(", ")}: run \`make contracts\``);
} else {
  committed.filter((file) => !compiled.has(file)).forEach((file) => rmSync(file));
  compiled.forEach((text, file) => writeFileSync(file, text));
}
console.log(`${compiled.size} contracts compiled`);

function fail(message) {
  console.error(message);
  process.exit(1);
}
