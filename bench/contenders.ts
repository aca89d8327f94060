/**
 * Against everybody: stock kube-scheduler, Kubernetes' own gangs, co-scheduling, Volcano, Kueue and Muster take turns on
 * the same nodes of one real control plane. The others are built from their Go modules (`contenders/programs.ts`); one
 * that cannot be built is left out with a message. docs/reports/contenders.md says how each is configured.
 *
 * `--tools stock,muster,ungated,native,coscheduling,volcano,kueue`, `--cases` (`contenders/cases.ts`), `--rounds N`,
 * `--deadline SECONDS` of a turn. `--quick`: small cases, one round, no verdict. Also as `bench -- e2e --tools …`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { ApiClient } from '../test/e2e/cluster/api-client.ts';
import { waitFor } from '../test/e2e/cluster/wait.ts';
import {
  type Case,
  GPUS_PER_NODE,
  nameOf,
  parseCases,
  standardCases,
  THROUGHPUT_PER_SECOND,
} from './contenders/cases.ts';
import { fieldRows, type Standing, scarceRows } from './contenders/field-rows.ts';
import { type FieldTurn, takeFieldTurn } from './contenders/field-turn.ts';
import { type BuiltProgram, provide, Unavailable } from './contenders/programs.ts';
import { drawReport, renderReport, replaceFigures } from './contenders/report.ts';
import { installDefinitions, purge, type Running } from './contenders/rival.ts';
import { type ScarceTurn, takeScarceTurn } from './contenders/scarce-turn.ts';
import { DEFAULT_TOOLS, parseTools, type Tool } from './contenders/tools.ts';
import { Arena, calmDown } from './e2e/arena.ts';
import { countFrom, rotate, row } from './e2e/rows.ts';
import { type BenchResult, type Progress, writeResults } from './result.ts';

/** A tool that can take part. */
interface Entrant {
  readonly tool: Tool;
  readonly program: BuiltProgram | undefined;
}

export async function run(progress: Progress, flags: readonly string[]): Promise<readonly BenchResult[]> {
  const { tools, cases, deadlineMs, isFull } = readFlags(flags);
  const entrants: Entrant[] = [];
  const results: BenchResult[] = [];
  for (const tool of tools) {
    try {
      const program = tool.rival && (await provide(tool.rival.program, (text) => progress(`contenders: ${text}`)));
      entrants.push({ tool, program });
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      console.error(`contenders: ${tool.title} is left out: ${error.message}`);
      results.push(row(`${tool.title}: left out (${error.message})`, '', null, 'lower'));
    }
  }
  for (const nodes of new Set(cases.map((one) => one.nodes))) {
    progress(`contenders: starting a control plane with ${nodes} nodes`);
    const field = await Field.open(nodes, entrants, { progress, deadlineMs });
    try {
      for (const one of cases.filter((other) => other.nodes === nodes)) {
        results.push(...(await field.hold(one, isFull)));
        // As with the results themselves: only those of the unchanged benchmark are kept. A pass takes more than an hour,
        // so what is measured is kept when the rest fails.
        if (flags.length === 0) keep(results);
      }
    } finally {
      await field.close();
    }
  }
  console.log(`${renderReport(results)}\n`);
  return results;
}

const REPORTS = join(import.meta.dirname, '../docs/reports');

function keep(results: readonly BenchResult[]): void {
  const page = join(REPORTS, 'contenders.md');
  writeFileSync(page, replaceFigures(readFileSync(page, 'utf8'), results));
  writeFileSync(join(REPORTS, 'contenders.svg'), drawReport(results));
  writeResults('contenders', results);
}

interface FieldOptions {
  readonly progress: Progress;
  /** Of a turn. */
  readonly deadlineMs: number;
}

/** One cluster in which the entrants take turns. */
class Field {
  readonly #arena: Arena;
  readonly #entrants: readonly Entrant[];
  readonly #nodes: number;
  readonly #options: FieldOptions;
  #turns = 0;
  /** Of all cases, so that the order differs also between cases of one round. */
  #rounds = 0;

  private constructor(arena: Arena, nodes: number, entrants: readonly Entrant[], options: FieldOptions) {
    this.#arena = arena;
    this.#nodes = nodes;
    this.#entrants = entrants;
    this.#options = options;
  }

  static async open(nodes: number, entrants: readonly Entrant[], options: FieldOptions): Promise<Field> {
    const arena = await Arena.open({ nodes: { count: nodes, gpus: GPUS_PER_NODE } });
    try {
      // All of them before the first turn, so that the API server serves the same kinds to everybody.
      for (const { tool, program } of entrants) {
        if (tool.rival && program) await installDefinitions(arena.cluster, tool.rival, program);
      }
    } catch (error) {
      await arena.close();
      throw error;
    }
    return new Field(arena, nodes, entrants, options);
  }

  close(): Promise<void> {
    return this.#arena.close();
  }

  async hold(one: Case, isFull: boolean): Promise<readonly BenchResult[]> {
    const { deadlineMs } = this.#options;
    if (one.kind === 'scarce') {
      const standings = await this.#alternate<ScarceTurn>(one, 1, (tool, turn) =>
        takeScarceTurn(this.#arena, tool, { ...one, deadlineMs, turn }),
      );
      return scarceRows(one, standings);
    }
    const standings = await this.#alternate<FieldTurn>(one, one.kind === 'gangs' ? one.rounds : 1, (tool, turn) => {
      const { gangs, size, gpus } = one.kind === 'gangs' ? one : { gangs: one.pods, size: 1, gpus: 1 };
      const submissions = Array.from({ length: gangs }, (_, i) =>
        tool.submissionOf({ name: `turn-${turn}-gang-${i}`, size, gpus }),
      );
      const pace = one.kind === 'throughput' ? { perSecond: THROUGHPUT_PER_SECOND } : {};
      return takeFieldTurn(this.#arena, submissions, { deadlineMs, ...pace });
    });
    return fieldRows(one, standings, isFull);
  }

  async #alternate<T>(
    one: Case,
    rounds: number,
    take: (tool: Tool, turn: number) => Promise<T>,
  ): Promise<readonly Standing<T>[]> {
    const turns = new Map<Entrant, T[]>(this.#entrants.map((entrant) => [entrant, []]));
    for (let i = 0; i < rounds; i++) {
      for (const entrant of rotate(this.#entrants, this.#rounds++)) {
        this.#options.progress(`contenders: ${nameOf(one)}, round ${i + 1} of ${rounds}: ${entrant.tool.title}`);
        turns.get(entrant)!.push(await this.#withRunning(entrant, () => take(entrant.tool, this.#turns++)));
      }
    }
    return [...turns].map(([{ tool }, own]) => ({ tool, turns: own }));
  }

  /** Starts what the tool consists of, and leaves an empty cluster behind. */
  async #withRunning<T>({ tool, program }: Entrant, take: () => Promise<T>): Promise<T> {
    const { cluster } = this.#arena;
    await this.#arena.prepare(tool.contender);
    let running: Running | undefined;
    try {
      if (tool.rival === undefined || tool.rival.beside) await cluster.scheduler.start(tool.contender.scheduler);
      running = await tool.rival?.start(cluster, program!, { nodes: this.#nodes, gpusPerNode: GPUS_PER_NODE });
      await calmDown();
      return await take();
    } finally {
      await running?.stop();
      await this.#clear();
    }
  }

  async #clear(): Promise<void> {
    const { api, scheduler } = this.#arena.cluster;
    await scheduler.stop();
    // Jobs first, so that no pod is created anew.
    await api.deleteAll('jobs', { graceSeconds: 0 });
    for (const kind of ['pods', 'events'] as const) await deleteMany(api, kind);
    for (const path of NATIVE_COLLECTIONS) await purge(api, path);
    for (const { tool } of this.#entrants) {
      for (const path of tool.rival?.collections ?? []) await purge(api, path);
    }
    await this.#arena.clear();
  }
}

/** Ten thousand objects take longer to delete than a request may last. */
async function deleteMany(api: ApiClient, kind: 'pods' | 'events'): Promise<void> {
  const path = `/api/v1/namespaces/default/${kind}?limit=1`;
  await waitFor(
    async () => {
      await api.deleteAll(kind, { graceSeconds: 0 });
      const { items } = await api.request<{ items: readonly unknown[] }>('GET', path);
      return items.length === 0;
    },
    { what: `no ${kind} to be left`, deadlineMs: CLEAR_WITHIN_MS, intervalMs: 200 },
  );
}

const CLEAR_WITHIN_MS = 300_000;
const NATIVE_COLLECTIONS = ['/apis/scheduling.k8s.io/v1beta1/podgroups'];

function readFlags(flags: readonly string[]) {
  const { values } = parseArgs({
    args: [...flags],
    options: {
      quick: { type: 'boolean', default: false },
      tools: { type: 'string', default: DEFAULT_TOOLS.join(',') },
      cases: { type: 'string' },
      rounds: { type: 'string' },
      deadline: { type: 'string' },
    },
  });
  const { quick, cases } = values;
  const rounds = values.rounds === undefined ? undefined : countFrom('rounds', values.rounds, 1);
  return {
    tools: parseTools(values.tools),
    cases: cases === undefined ? standardCases(quick, rounds) : parseCases(cases, rounds),
    deadlineMs: 1000 * countFrom('deadline', values.deadline, quick ? 60 : 180),
    isFull: !quick && cases === undefined,
  };
}
