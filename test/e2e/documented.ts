/** The YAML of README.md and docs/*.md: whole manifests, and fragments completed to what they are parts of. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';
import type { KubeObject } from './cluster/resources.ts';
import { gpuJob } from './objects.ts';

const repository = join(import.meta.dirname, '../..');

/** What a fragment is a part of; for one that is not applied to a cluster, why. */
type PartOf =
  | 'MusterConfiguration'
  | 'Job'
  | 'pod template'
  | 'pod spec'
  | 'container'
  | { readonly notApplied: string };

/** By page and number of the block on it: all blocks that are no whole object of the API server. */
const FRAGMENTS: Readonly<Record<string, PartOf>> = {
  'docs/configuration.md 2': 'MusterConfiguration',
  'docs/lone-pods.md 1': 'pod spec',
  'docs/lone-pods.md 2': 'pod spec',
  'docs/operating.md 1': 'MusterConfiguration',
  'docs/operating.md 3': { notApplied: "a section of kube-scheduler's configuration, which is a file" },
  'docs/preemption.md 1': 'Job',
  'docs/queues.md 1': 'MusterConfiguration',
  'docs/ranks.md 1': 'container',
  'docs/ranks.md 2': 'pod spec',
  'docs/topology-levels.md 1': 'MusterConfiguration',
  'docs/topology-levels.md 2': { notApplied: "the kubelet's configuration, which is a file on the node" },
  'docs/topology.md 1': 'pod template',
  'docs/topology.md 2': 'pod template',
};

/** One YAML block, ready to be applied. */
export interface Documented {
  /** Page and number of the block, such as `docs/queues.md 1`. */
  readonly where: string;
  readonly object: KubeObject;
}

/** All blocks but those that are not applied. @throws Error for a fragment that is not listed, or listed and not there. */
export function readDocumented(): readonly Documented[] {
  const pages = ['README.md', ...readdirSync(join(repository, 'docs')).map((name) => `docs/${name}`)];
  const blocks = pages.filter((page) => page.endsWith('.md')).flatMap(readBlocks);
  const unknown = Object.keys(FRAGMENTS).filter((where) => !blocks.some((block) => block.where === where));
  if (unknown.length > 0) throw new Error(`expected YAML blocks as listed, found none at ${unknown.join(', ')}`);
  return blocks.flatMap(({ where, text }) => complete(where, load(text) as object));
}

function readBlocks(page: string): readonly { readonly where: string; readonly text: string }[] {
  const text = readFileSync(join(repository, page), 'utf8');
  const blocks = [...text.matchAll(/^```ya?ml\n([\s\S]*?)^```$/gm)];
  return blocks.map(([, block = ''], i) => ({ where: `${page} ${i + 1}`, text: block }));
}

function complete(where: string, part: object): readonly Documented[] {
  const partOf = FRAGMENTS[where];
  const isWhole = 'apiVersion' in part && 'kind' in part;
  if (partOf === undefined && !isWhole) throw new Error(`${where}: expected a whole manifest, or an entry in the list`);
  if (typeof partOf === 'object') return [];
  const name = where.replaceAll(/[^a-z0-9]+/gi, '-').toLowerCase();
  return [{ where, object: partOf === undefined ? (part as KubeObject) : insert(name, partOf, part) }];
}

/** The fragment in an object that says nothing else of interest: a Job of two pods, 8 GPUs each. */
function insert(name: string, partOf: string, part: object): KubeObject {
  if (partOf === 'MusterConfiguration') {
    return { apiVersion: 'config.muster.dev/v1alpha1', kind: 'MusterConfiguration', ...part };
  }
  const job = gpuJob({ name, size: 2, gang: partOf === 'pod template' ? null : name });
  const { template, ...spec } = job.spec!;
  const [container, ...others] = template.spec!.containers;
  const podSpec = {
    ...template.spec!,
    ...(partOf === 'pod spec' && part),
    ...(partOf === 'container' && { containers: [{ ...container, ...part }, ...others] }),
  };
  const metadata = partOf === 'pod template' ? (part as { readonly metadata: object }).metadata : template.metadata;
  const written = partOf === 'Job' ? (part as { readonly spec: object }).spec : {};
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    ...job,
    spec: { ...spec, ...written, template: { metadata, spec: podSpec } },
  } as KubeObject;
}
