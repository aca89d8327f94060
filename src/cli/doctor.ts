/** `muster doctor`: says what is wrong with the installation, and what to do about it. */
import { diagnose } from '../doctor/diagnose.ts';
import type { Finding } from '../doctor/finding.ts';
import { type Command, textOf, UsageError } from './command.ts';
import { inspectOptions, inspectUsage, readMusterTarget } from './inspect-flags.ts';

export const doctor: Command = {
  summary: 'Say what is wrong with the installation, and what to do about it',
  usage: `Usage: muster doctor [flags]

Looks at kube-scheduler's configuration, Muster's rights, the admission policies, the
running Muster, pods, Jobs and quotas. It changes nothing. The exit code is 1 when
something is to be done (an error or a warning); what it could not look at is told.

  --scheduler-config FILE
                         kube-scheduler's configuration; without it those that its
                         pods read from ConfigMaps
  --config FILE          Muster's configuration (default: the ConfigMap muster)
${inspectUsage}`,
  options: { ...inspectOptions, 'scheduler-config': { type: 'string' }, config: { type: 'string' } },
  async run(flags, environment) {
    const { output } = flags;
    if (output !== undefined && output !== 'json') throw new UsageError(`--output: expected json, found "${output}"`);
    const facts = await environment.gatherFacts({
      target: readMusterTarget(flags),
      schedulerConfig: textOf(flags['scheduler-config']),
      config: textOf(flags.config),
    });
    const findings = diagnose(facts);
    if (output === 'json') environment.stdout(`${JSON.stringify({ items: findings }, null, 2)}\n`);
    else if (findings.length === 0) environment.stderr('No findings.\n');
    else environment.stdout(findings.map(formatFinding).join('\n'));
    return findings.some(({ severity }) => severity !== 'info') ? 1 : 0;
  },
};

/** Three lines: a table would have columns as wide as the longest sentence. */
export function formatFinding({ severity, kind, about, text, fix }: Finding): string {
  return `${severity.toUpperCase()} ${kind} (${about})\n  ${text}\n  -> ${fix}\n`;
}
