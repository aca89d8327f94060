/** A training job of the story: `size` pods, each of which takes all GPUs of one node. */
export interface TrainingJob {
  readonly name: string;
  readonly size: number;
  readonly gpusPerPod: number;
}

export interface NodeView {
  readonly name: string;
  readonly rack: string;
  readonly gpus: number;
}

/** What the story looks at of a pod. */
export interface PodView {
  readonly uid: string;
  readonly name: string;
  /** The Job that owns it. */
  readonly job: string;
  /** '' while unbound. */
  readonly node: string;
  readonly gpus: number;
  readonly phase: string;
}

export type PodChange =
  | { readonly kind: 'applied'; readonly pod: PodView }
  | { readonly kind: 'gone'; readonly uid: string };

/** All that the story does with a cluster. */
export interface Stage {
  nodes(): Promise<readonly NodeView[]>;
  /** Creates the Jobs at the same time, so that their pods come in turns. As gangs, the pods say so. */
  submit(jobs: readonly TrainingJob[], asGangs: boolean): Promise<void>;
  /** Tells of every pod, then of every change, until the function it returns is called. */
  follow(listener: (change: PodChange) => void): Promise<() => Promise<void>>;
  /** Says that the pod's container has ended well, as the kubelet would. */
  finish(pod: PodView): Promise<void>;
  /** Removes all Jobs and pods, and waits until they are gone. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

/** With or without Muster: the only difference between the two runs of the story. */
export type SchedulerKind = 'alone' | 'with-muster';

/** A control plane to play on. */
export interface Plane {
  /** Completes "on …". */
  readonly title: string;
  /** Path of a kubeconfig that may do everything. */
  readonly kubeconfig: string;
  /** Replaces the kube-scheduler that runs, if one does, and starts Muster first when it is needed. */
  startScheduler(kind: SchedulerKind): Promise<void>;
  stop(): Promise<void>;
}
