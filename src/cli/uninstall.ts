/** `muster uninstall`: says what an uninstalled Muster has left, and opens the gates of the pods that wait for it. */

import { type Finding, nameSome } from '../doctor/finding.ts';
import { findGating, findLeftovers, listGated } from '../doctor/leftovers.ts';
import {
  type CliEnvironment,
  type Command,
  type ExitCode,
  type LeftoverCluster,
  textOf,
  UsageError,
} from './command.ts';
import { formatFinding } from './doctor.ts';

export const uninstall: Command = {
  summary: 'Say what an uninstalled Muster has left, and open the gates of pods that wait',
  usage: `Usage: muster uninstall (--check | --open-gates [--yes]) [flags]

Follow docs/install/uninstall.md; this removes nothing that runs.

  --check                say what is left, each with what to do about it; the exit
                         code is 1 if something is to be done (an error or a warning)
  --open-gates           name the pods that wait at Muster's gate
  --yes                  with --open-gates: open them, so that kube-scheduler places
                         each by itself. Refused while new pods still get the gate
  -n, --namespace NAME   where Muster ran (default muster-system)
  --kubeconfig FILE      the cluster (default: as kubectl)
  -o, --output json      print JSON, with --check
  -h, --help             this text
`,
  options: {
    check: { type: 'boolean' },
    'open-gates': { type: 'boolean' },
    yes: { type: 'boolean' },
    namespace: { type: 'string', short: 'n', default: 'muster-system' },
    kubeconfig: { type: 'string' },
    output: { type: 'string', short: 'o' },
  },
  async run(flags, environment) {
    const { check, 'open-gates': opens, yes, output } = flags;
    if ((check === true) === (opens === true)) {
      throw new UsageError(`expected --check or --open-gates, found ${check ? 'both' : 'neither'}`);
    }
    if (check && yes) throw new UsageError('--yes: expected --open-gates with it, found --check');
    if (output !== undefined && output !== 'json') throw new UsageError(`--output: expected json, found "${output}"`);
    const cluster = await environment.openLeftovers(textOf(flags.kubeconfig), String(flags.namespace));
    try {
      if (opens) return await openGates(cluster, yes === true, environment);
      return report(findLeftovers(await cluster.gather()), output === 'json', environment);
    } finally {
      await cluster.close();
    }
  },
};

function report(findings: readonly Finding[], isJson: boolean, { stdout, stderr }: CliEnvironment): ExitCode {
  if (isJson) stdout(`${JSON.stringify({ items: findings }, null, 2)}\n`);
  else if (findings.length === 0) stderr('Nothing is left.\n');
  else stdout(findings.map(formatFinding).join('\n'));
  return findings.some(({ severity }) => severity !== 'info') ? 1 : 0;
}

async function openGates(
  cluster: LeftoverCluster,
  isConfirmed: boolean,
  { stdout, stderr }: CliEnvironment,
): Promise<ExitCode> {
  const { pods, objects } = await cluster.gather();
  for (const fact of [pods, objects]) {
    if (fact.kind === 'unknown') throw new Error(`expected to see ${fact.about}, found: ${fact.why}; ${fact.fix}`);
  }
  const gated = pods.kind === 'known' ? listGated(pods.value) : [];
  const gating = objects.kind === 'known' ? findGating(objects.value) : undefined;
  if (gating !== undefined) {
    throw new Error(
      `expected nothing that gives new pods the gate, found ${gating}; delete it first ` +
        '(helm upgrade --set admissionPolicy.enabled=false, or kubectl delete)',
    );
  }
  if (gated.length === 0) {
    stderr('No pod waits at the gate.\n');
    return 0;
  }
  const names = gated.map(({ metadata }) => `${metadata?.namespace}/${metadata?.name}`);
  if (!isConfirmed) {
    stdout(names.map((name) => `${name}\n`).join(''));
    stderr(`${gated.length} pods wait at the gate; --yes opens it, and each is then placed by itself\n`);
    return 0;
  }
  const closed = (await Promise.all(gated.map((pod) => cluster.openGate(pod)))).flatMap((why, i) =>
    why === undefined ? [] : [`${names[i]}: ${why}`],
  );
  stdout(`${gated.length - closed.length} of ${gated.length} gates are open.\n`);
  if (closed.length === 0) return 0;
  stderr(`expected to open all gates, found closed: ${nameSome(closed)}; run it again\n`);
  return 1;
}
