import { chmodSync } from 'node:fs';

// tsc writes plain files. npm sets the bit when it links `muster` to dist/cli.js, but not again after a rebuild.
for (const path of process.argv.slice(2)) chmodSync(path, 0o755);
