/** The commands of `muster`: their flags, usage texts and exit codes. */
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import {
  ConfigurationError,
  defaultConfiguration,
  type MusterConfiguration,
  overrideConfiguration,
  parseConfiguration,
  renderConfiguration,
} from '../config/configuration.ts';
import { findExposure } from '../config/server.ts';
import { certs } from './certs.ts';
import { type CliEnvironment, type Command, type ExitCode, type Flags, textOf, UsageError } from './command.ts';
import { doctor } from './doctor.ts';
import { fetchGangs, formatGangs } from './gangs.ts';
import { inspect, inspectOptions, inspectUsage, namespacedOptions } from './inspect-flags.ts';
import { fetchQueues, formatLine, formatStarts, formatTree } from './queue.ts';
import { fetchTopology, formatFindings, formatTopology } from './topology.ts';
import { uninstall } from './uninstall.ts';

const commands: Readonly<Record<string, Command>> = {
  serve: {
    summary: 'Serve kube-scheduler as its extender',
    usage: `Usage: muster serve [flags]

  --config FILE          MusterConfiguration to use; without it the defaults
  --kubeconfig FILE      how to reach the API server (api.kubeconfig)
  --port N               port to listen on (server.port)
  --bind-address A       address to listen on (server.bindAddress)
  --insecure             listen on an address that others reach although no client
                         CA says who calls: whoever reaches it can bind pods
  --print-config         print the configuration in force and exit
  -h, --help             this text
`,
    options: {
      config: { type: 'string' },
      kubeconfig: { type: 'string' },
      port: { type: 'string' },
      'bind-address': { type: 'string' },
      insecure: { type: 'boolean' },
      'print-config': { type: 'boolean' },
    },
    async run(flags, environment) {
      const config = loadConfiguration(flags, environment);
      const exposure = findExposure(config.server);
      if (flags['print-config']) {
        environment.stdout(renderConfiguration(config));
        if (exposure !== undefined && flags.insecure !== true) {
          environment.stderr(`muster serve would not start with it: ${exposure}\n`);
        }
        return 0;
      }
      if (exposure !== undefined && flags.insecure !== true) {
        throw new ConfigurationError(textOf(flags.config) ?? 'flags', [exposure]);
      }
      await environment.serve(config);
      return 0;
    },
  },
  demo: {
    summary: 'Play two jobs on an embedded cluster, without Muster and with it',
    usage: `Usage: muster demo [flags]

  --svg FILE             draw what happened into this file
  -h, --help             this text
`,
    options: { svg: { type: 'string' } },
    async run(flags, environment) {
      await environment.demo(textOf(flags.svg));
      return 0;
    },
  },
  gangs: {
    summary: 'List the gangs of a running Muster',
    usage: `Usage: muster gangs [flags]

  -n, --namespace NAME   only gangs in this namespace
${inspectUsage}`,
    options: namespacedOptions,
    async run(flags, environment) {
      return await inspect<ExitCode>(flags, environment, async ({ url, json, fetch }) => {
        const gangs = await fetchGangs(fetch, url, textOf(flags.namespace));
        if (json) environment.stdout(formatJson(gangs));
        else if (gangs.items.length === 0) environment.stderr('No gangs found.\n');
        else environment.stdout(formatGangs(gangs, environment.now()));
        return 0;
      });
    },
  },
  queue: {
    summary: 'Show who waits in which order, and what the queues of a running Muster use',
    usage: `Usage: muster queue [flags]

  --queue NAME           only this queue and those below it
  --start                when each gang that waits is expected to start; estimates
  --queues               the queues and not the gangs: what each uses, is guaranteed
                         and is entitled to
  -n, --namespace NAME   only gangs in this namespace
${inspectUsage}`,
    options: {
      ...namespacedOptions,
      queue: { type: 'string' },
      start: { type: 'boolean' },
      queues: { type: 'boolean' },
    },
    async run(flags, environment) {
      if (flags.start && flags.queues) throw new UsageError('expected --start or --queues, found both');
      return await inspect<ExitCode>(flags, environment, async ({ url, json, fetch }) => {
        const report = await fetchQueues(fetch, url, {
          name: textOf(flags.queue),
          namespace: textOf(flags.namespace),
        });
        for (const { text } of report.problems) environment.stderr(`${text}\n`);
        const now = environment.now();
        if (json) environment.stdout(formatJson(report));
        else if (flags.queues) environment.stdout(formatTree(report));
        else if (report.waiting.length === 0) environment.stderr('No gang waits.\n');
        else environment.stdout(flags.start ? formatStarts(report, now) : formatLine(report, now));
        return 0;
      });
    },
  },
  topology: {
    summary: 'Show the topology domains of a running Muster, and what is free in them',
    usage: `Usage: muster topology [flags]

  --hosts                show each node, too
  --lint                 say what is wrong with the topology labels of the nodes;
                         exit code 1 if something is to be done about them
${inspectUsage}`,
    options: { ...inspectOptions, hosts: { type: 'boolean' }, lint: { type: 'boolean' } },
    async run(flags, environment) {
      if (flags.hosts && flags.lint) throw new UsageError('expected --hosts or --lint, found both');
      return await inspect<ExitCode>(flags, environment, async ({ url, json, fetch }) => {
        const topology = await fetchTopology(fetch, url, flags.hosts === true);
        const { findings } = topology;
        if (!flags.lint) {
          environment.stdout(json ? formatJson(topology) : formatTopology(topology));
          if (!json && findings.length > 0) {
            const found = findings.length === 1 ? '1 finding' : `${findings.length} findings`;
            environment.stderr(`${found} about the labels; see muster topology --lint\n`);
          }
          return 0;
        }
        if (json) environment.stdout(formatJson(findings));
        else if (findings.length === 0) environment.stderr('No findings.\n');
        else environment.stdout(formatFindings(findings));
        return findings.some(({ warning }) => warning) ? 1 : 0;
      });
    },
  },
  certs,
  doctor,
  uninstall,
};

const help = `Muster: gang scheduling for the stock kube-scheduler, as an HTTP extender.

Usage: muster COMMAND [flags]

Commands:
${Object.entries(commands)
  .map(([name, { summary }]) => `  ${name.padEnd(20)} ${summary}\n`)
  .join('')}
Flags:
  -h, --help             this text; after a command, the text of that command
  --version              print the version
`;

/**
 * Runs one command line, given without the program's name.
 *
 * @returns the exit code: 0 done, 1 failed or something found wrong, 2 invalid command line.
 */
export async function runCli(args: readonly string[], environment: CliEnvironment): Promise<number> {
  const [name = '', ...rest] = args;
  try {
    return await dispatch(name, rest, environment);
  } catch (error) {
    if (error instanceof UsageError) {
      const command = Object.hasOwn(commands, name) ? `muster ${name}` : 'muster';
      environment.stderr(`${command}: ${error.message}; see ${command} --help\n`);
      return 2;
    }
    environment.stderr(`muster: ${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof ConfigurationError ? 2 : 1;
  }
}

async function dispatch(name: string, args: readonly string[], environment: CliEnvironment): Promise<ExitCode> {
  if (name === '--help' || name === '-h') {
    environment.stdout(help);
    return 0;
  }
  if (name === '--version') {
    environment.stdout(`muster ${environment.version}\n`);
    return 0;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) {
    const known = Object.keys(commands).join(' or ');
    throw new UsageError(`expected a command (${known}), found ${name === '' ? 'nothing' : `"${name}"`}`);
  }
  const flags = parseFlags(args, command.options);
  if (!flags.help) return await command.run(flags, environment);
  environment.stdout(command.usage);
  return 0;
}

function formatJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function parseFlags(args: readonly string[], options: ParseArgsOptionsConfig): Flags {
  try {
    const all: ParseArgsOptionsConfig = { ...options, help: { type: 'boolean', short: 'h' } };
    return parseArgs({ args: [...args], options: all, strict: true, allowPositionals: false }).values as Flags;
  } catch (error) {
    // The first sentence names the problem; the others explain quoting, which is rarely the cause.
    const [message = ''] = (error instanceof Error ? error.message : String(error)).split('. ');
    throw new UsageError(message.replace(/\.$/, ''), { cause: error });
  }
}

function loadConfiguration(flags: Flags, { readFile }: CliEnvironment): MusterConfiguration {
  const file = textOf(flags.config);
  const config = file === undefined ? defaultConfiguration() : parseConfiguration(readText(file, readFile), file);
  return overrideConfiguration(config, {
    kubeconfig: textOf(flags.kubeconfig),
    bindAddress: textOf(flags['bind-address']),
    port: portOf(textOf(flags.port)),
  });
}

function readText(file: string, readFile: CliEnvironment['readFile']): string {
  try {
    return readFile(file);
  } catch (cause) {
    const found = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(`--config: expected a readable file, found ${found}`, { cause });
  }
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,5}$/.test(text)) throw new UsageError(`--port: expected a number from 0 to 65535, found "${text}"`);
  return Number(text);
}
