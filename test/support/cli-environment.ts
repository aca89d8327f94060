/** The surroundings of a command line in tests: text is kept, and what a test does not expect to be used fails. */
import type { CliEnvironment } from '../../src/cli/command.ts';
import type { Fetch } from '../../src/cli/fetch-json.ts';

export interface RecordedCli {
  readonly environment: CliEnvironment;
  readonly stdout: () => string;
  readonly stderr: () => string;
}

/** A Muster that `fetch` answers for, wherever it is looked for. */
export function reachWith(fetch: Fetch): CliEnvironment['reach'] {
  return async (target) => ({
    url: target.kind === 'url' ? target.url : 'https://muster.muster-system.svc:8443',
    fetch,
    close: async () => {},
  });
}

/** @param world what the command may use. */
export function recordCli(world: Partial<CliEnvironment>): RecordedCli {
  let [stdout, stderr] = ['', ''];
  const never = () => Promise.reject(new Error('expected not to be called'));
  const environment: CliEnvironment = {
    version: '1.2.3',
    now: () => 0,
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    readFile: (path) => {
      throw new Error(`ENOENT: no such file or directory, open '${path}'`);
    },
    reach: never,
    openCertificates: never,
    gatherFacts: never,
    openLeftovers: never,
    serve: never,
    demo: never,
    ...world,
  };
  return { environment, stdout: () => stdout, stderr: () => stderr };
}
