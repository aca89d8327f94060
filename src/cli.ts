#!/usr/bin/env node
/** The `muster` executable: connects the commands to the process. */
import { readFileSync } from 'node:fs';
import { findNodeProblem } from './cli/node-version.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const problem = findNodeProblem(process.versions.node);
if (problem !== undefined) {
  process.stderr.write(`muster: ${problem}\n`);
  process.exit(1);
}

// Not at the top of the file: an older Node might fail there, with words that do not help.
const { runCli } = await import('./cli/commands.ts');
const code = await runCli(process.argv.slice(2), {
  version,
  now: Date.now,
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
  readFile: (path) => readFileSync(path, 'utf8'),
  reach: async (target) => (await import('./cli/reach.ts')).reachMuster(target),
  gatherFacts: async (wish) => (await import('./cli/doctor-facts.ts')).gatherFacts(wish, Date.now),
  openLeftovers: async (kubeconfig, namespace) =>
    (await import('./cli/leftovers.ts')).openLeftovers(kubeconfig, namespace),
  openCertificates: async (place) => {
    if (place.kind === 'directory') return new (await import('./certs/store.ts')).CertificateDirectory(place.path);
    const [{ loadEndpoint }, { ApiClient }, { CertificateSecrets }] = await Promise.all([
      import('./kube/kubeconfig.ts'),
      import('./kube/client.ts'),
      import('./certs/secrets.ts'),
    ]);
    const { kubeconfig: path } = place;
    const endpoint = await loadEndpoint(path === undefined ? { kind: 'default' } : { kind: 'file', path });
    return new CertificateSecrets(new ApiClient(endpoint), place.namespace);
  },
  // Only these need the cluster client and the server; the other commands start without loading them.
  serve: async (config) => (await import('./main.ts')).serve(config, version),
  demo: async (svgFile) => {
    const [{ runDemo }, { openEmbeddedPlane }] = await Promise.all([
      import('./demo/demo.ts'),
      import('./demo/embedded.ts'),
    ]);
    await runDemo({ openPlane: openEmbeddedPlane, svgFile, output: process.stdout, env: process.env });
  },
});
// After a failed start, open connections could keep the process alive.
if (code === 0) process.exitCode = 0;
else process.exit(code);
