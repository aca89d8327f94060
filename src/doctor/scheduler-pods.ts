/** Finds the kube-schedulers that run as pods, and where each one reads its configuration. */

interface SeenVolume {
  readonly name?: string;
  readonly configMap?: {
    readonly name?: string;
    readonly items?: readonly { readonly key: string; readonly path: string }[];
  };
  readonly hostPath?: { readonly path?: string };
}

/** The fields of a Pod that are read. */
export interface SeenSchedulerPod {
  readonly metadata?: { readonly namespace?: string; readonly name?: string };
  readonly spec?: {
    readonly nodeName?: string;
    readonly containers?: readonly {
      readonly command?: readonly string[];
      readonly args?: readonly string[];
      readonly volumeMounts?: readonly {
        readonly name: string;
        readonly mountPath: string;
        readonly subPath?: string;
      }[];
    }[];
    readonly volumes?: readonly SeenVolume[];
  };
}

export type SchedulerSource =
  | { readonly kind: 'config-map'; readonly namespace: string; readonly name: string; readonly key: string }
  /** On the node, which the API server does not show. */
  | { readonly kind: 'file'; readonly path: string; readonly node: string }
  /** Started without --config: it has no extenders. */
  | { readonly kind: 'none' };

export interface FoundScheduler {
  readonly about: string;
  readonly source: SchedulerSource;
}

/** Each kube-scheduler once; several with the same ConfigMap or file are one. */
export function findSchedulers(pods: Iterable<SeenSchedulerPod>): readonly FoundScheduler[] {
  const found = new Map<string, FoundScheduler>();
  for (const pod of pods) {
    for (const container of pod.spec?.containers ?? []) {
      const words = [...(container.command ?? []), ...(container.args ?? [])];
      // By the program's name, not by the image's: distributions have their own images.
      const isScheduler = words.some((word) => /(^|\/)kube-scheduler$/.test(word));
      if (!isScheduler) continue;
      const about = `kube-scheduler ${pod.metadata?.namespace}/${pod.metadata?.name}`;
      const source = sourceOf(pod, container.volumeMounts ?? [], readFlag(words, 'config'));
      const key = JSON.stringify(source);
      if (!found.has(key)) found.set(key, { about, source });
    }
  }
  return [...found.values()];
}

/** `--config=FILE` or `--config FILE`, also within one text that a shell runs. */
function readFlag(words: readonly string[], flag: string): string | undefined {
  const all = words.flatMap((word) => word.split(/\s+/));
  const at = all.findIndex((word) => word === `--${flag}` || word.startsWith(`--${flag}=`));
  return at === -1 ? undefined : (all[at]!.split('=')[1] ?? all[at + 1]);
}

function sourceOf(
  { metadata, spec }: SeenSchedulerPod,
  mounts: readonly { readonly name: string; readonly mountPath: string; readonly subPath?: string }[],
  path: string | undefined,
): SchedulerSource {
  if (path === undefined) return { kind: 'none' };
  const mount = mounts
    .filter(({ mountPath }) => path === mountPath || path.startsWith(`${mountPath.replace(/\/$/, '')}/`))
    .toSorted((a, b) => b.mountPath.length - a.mountPath.length)[0];
  const volume = spec?.volumes?.find(({ name }) => name === mount?.name);
  if (mount !== undefined && volume?.configMap?.name !== undefined) {
    const inside = mount.subPath ?? path.slice(mount.mountPath.replace(/\/$/, '').length + 1);
    const key = volume.configMap.items?.find((item) => item.path === inside)?.key ?? inside;
    return { kind: 'config-map', namespace: metadata?.namespace ?? '', name: volume.configMap.name, key };
  }
  const onHost = volume?.hostPath?.path;
  const host = mount === undefined || onHost === undefined ? path : `${onHost}${path.slice(mount.mountPath.length)}`;
  return { kind: 'file', path: host, node: spec?.nodeName ?? '' };
}
