import { rmSync } from 'node:fs';

// `npm run build` starts from nothing, so that a renamed module leaves no stale file in dist/.
for (const path of process.argv.slice(2)) rmSync(path, { recursive: true, force: true });
