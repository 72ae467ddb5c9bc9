// Bundles a script of this folder, as a front end is built, and runs it: node bundled.mjs <script> <argument>.
// The examples are copied into a project that has its packages; here they find those of this folder.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const folder = await mkdtemp(join(tmpdir(), "coffer-bundle-"));
const outfile = join(folder, "bundle.mjs");
try {
  await build({
    entryPoints: [join(here, process.argv[2])],
    nodePaths: [join(here, "node_modules")],
    outfile,
    bundle: true,
    format: "esm",
    // As for a browser: that is where these libraries run. Node has all that they ask for.
    platform: "browser",
    define: { "process.env.NODE_ENV": '"production"' },
    logLevel: "error",
  });
  const { played } = await import(pathToFileURL(outfile).href);
  console.log(JSON.stringify(await played(JSON.parse(process.argv[3]))));
} finally {
  await rm(folder, { recursive: true });
}
process.exit(0);
