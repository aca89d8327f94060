/** The co-scheduling plugin's dialect: a label that names a PodGroup object in the same namespace. */

/** kubernetes-sigs/scheduler-plugins, apis/scheduling/v1alpha1. */
export const COSCHEDULING_LABEL = 'scheduling.x-k8s.io/pod-group';
