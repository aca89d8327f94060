/** The demo's interfaces to a cluster and to a control plane. */
/** A training job: `size` pods, each of which takes all GPUs of one node. */
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

/** The fields of a pod that the story uses. */
export interface PodView {
  readonly uid: string;
  readonly name: string;
  /** Name of the Job that owns the pod. */
  readonly job: string;
  /** '' while unbound. */
  readonly node: string;
  readonly gpus: number;
  readonly phase: string;
}

export type PodChange =
  | { readonly kind: 'applied'; readonly pod: PodView }
  | { readonly kind: 'gone'; readonly uid: string };

/** Everything that the story does with a cluster. */
export interface Stage {
  nodes(): Promise<readonly NodeView[]>;
  /** Creates the Jobs together, so that their pods are created in turns. `asGangs` labels the pods as gangs. */
  submit(jobs: readonly TrainingJob[], asGangs: boolean): Promise<void>;
  /** Reports every pod, then every change, until the returned function is called. */
  follow(listener: (change: PodChange) => void): Promise<() => Promise<void>>;
  /** Ends the pod's container with success, as the kubelet would. */
  finish(pod: PodView): Promise<void>;
  /** Deletes all Jobs and pods, and waits until they are gone. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

/** Without or with Muster: the only difference between the two runs. */
export type SchedulerKind = 'alone' | 'with-muster';

/** A control plane to run on. */
export interface Plane {
  /** Completes "on …". */
  readonly title: string;
  /** Path of a kubeconfig with full permissions. */
  readonly kubeconfig: string;
  /** Replaces the running kube-scheduler, if any; starts Muster first when it is needed. */
  startScheduler(kind: SchedulerKind): Promise<void>;
  stop(): Promise<void>;
}
