/**
 * Field numbers of pods, as far as they are read: `POD_TEMPLATE` has what makes a template, `POD_ITSELF` what each pod
 * has of its own. Source: k8s.io/api v0.37.2 core/v1/generated.proto and types.go.
 */
import { isReadAnnotation, READ_CONDITIONS } from '../../core/objects/pod-projection.ts';
import { LABEL_SELECTOR, metadataShape, NODE_TERM } from './common-shapes.ts';
import {
  amounts,
  type Fields,
  flag,
  flagKept,
  inline,
  list,
  listOfThose,
  listOfThoseWith,
  messageShape,
  one,
  oneOrMore,
  type Shape,
  text,
  textKept,
  textMap,
  texts,
  time,
  whole,
  wholeKept,
} from './message-shape.ts';

/** Only whether there is one, and how many, is read. */
const ANY = messageShape({});

const CLAIM_OF_RESOURCES = messageShape({ 1: textKept('name'), 2: text('request') });
const RESOURCES = messageShape({ 1: amounts('limits'), 2: amounts('requests'), 3: list('claims', CLAIM_OF_RESOURCES) });
const PORT = messageShape({
  2: whole('hostPort'),
  3: wholeKept('containerPort'),
  4: text('protocol'),
  5: text('hostIP'),
});
const CONTAINER = messageShape({
  1: textKept('name'),
  6: list('ports', PORT),
  8: one('resources', RESOURCES),
  24: textKept('restartPolicy'),
});

const POD_TERM = messageShape({
  1: one('labelSelector', LABEL_SELECTOR),
  2: texts('namespaces'),
  3: textKept('topologyKey'),
  4: one('namespaceSelector', LABEL_SELECTOR),
});
const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution';
const PREFERRED = 'preferredDuringSchedulingIgnoredDuringExecution';
const POD_TERMS = messageShape({ 1: list(REQUIRED, POD_TERM), 2: list(PREFERRED, ANY) });
const NODE_TERMS = messageShape({
  1: one(REQUIRED, messageShape({ 1: list('nodeSelectorTerms', NODE_TERM) })),
  2: list(PREFERRED, ANY),
});
const AFFINITY = messageShape({
  1: one('nodeAffinity', NODE_TERMS),
  2: one('podAffinity', POD_TERMS),
  3: one('podAntiAffinity', POD_TERMS),
});

const TOLERATION = messageShape({
  1: text('key'),
  2: text('operator'),
  3: text('value'),
  4: text('effect'),
  5: wholeKept('tolerationSeconds'),
});
const SPREAD = messageShape({
  1: wholeKept('maxSkew'),
  2: textKept('topologyKey'),
  3: textKept('whenUnsatisfiable'),
  4: one('labelSelector', LABEL_SELECTOR),
  5: wholeKept('minDomains'),
  6: textKept('nodeAffinityPolicy'),
  7: textKept('nodeTaintsPolicy'),
  8: texts('matchLabelKeys'),
});

const SECRET = messageShape({ 1: text('name') });
const GCE_DISK = messageShape({ 1: textKept('pdName'), 2: text('fsType'), 3: whole('partition'), 4: flag('readOnly') });
const AWS_DISK = messageShape({
  1: textKept('volumeID'),
  2: text('fsType'),
  3: whole('partition'),
  4: flag('readOnly'),
});
const AZURE_DISK = messageShape({
  1: textKept('diskName'),
  2: textKept('diskURI'),
  3: textKept('cachingMode'),
  4: textKept('fsType'),
  5: flagKept('readOnly'),
  6: textKept('kind'),
});
const ISCSI = messageShape({
  1: textKept('targetPortal'),
  2: textKept('iqn'),
  3: wholeKept('lun'),
  4: text('iscsiInterface'),
  5: text('fsType'),
  6: flag('readOnly'),
  7: texts('portals'),
  8: flag('chapAuthDiscovery'),
  10: one('secretRef', SECRET),
  11: flag('chapAuthSession'),
  12: textKept('initiatorName'),
});
const RBD = messageShape({
  1: texts('monitors'),
  2: textKept('image'),
  3: text('fsType'),
  4: text('pool'),
  5: text('user'),
  6: text('keyring'),
  7: one('secretRef', SECRET),
  8: flag('readOnly'),
});
const CSI = messageShape({
  1: textKept('driver'),
  2: flagKept('readOnly'),
  3: textKept('fsType'),
  4: textMap('volumeAttributes'),
  5: one('nodePublishSecretRef', SECRET),
});

const VOLUME_RESOURCES = messageShape({ 1: amounts('limits'), 2: amounts('requests') });
const SOURCE_OBJECT = messageShape({
  1: textKept('apiGroup'),
  2: textKept('kind'),
  3: textKept('name'),
  4: textKept('namespace'),
});
const CLAIM_SPEC = messageShape({
  1: texts('accessModes'),
  2: one('resources', VOLUME_RESOURCES),
  3: text('volumeName'),
  4: one('selector', LABEL_SELECTOR),
  5: textKept('storageClassName'),
  6: textKept('volumeMode'),
  7: one('dataSource', SOURCE_OBJECT),
  8: one('dataSourceRef', SOURCE_OBJECT),
  9: textKept('volumeAttributesClassName'),
});
const EPHEMERAL = messageShape({ 1: one('volumeClaimTemplate', messageShape({ 2: one('spec', CLAIM_SPEC) })) });
const VOLUME_SOURCE = messageShape({
  3: one('gcePersistentDisk', GCE_DISK),
  4: one('awsElasticBlockStore', AWS_DISK),
  8: one('iscsi', ISCSI),
  10: one('persistentVolumeClaim', messageShape({ 1: textKept('claimName') })),
  11: one('rbd', RBD),
  22: one('azureDisk', AZURE_DISK),
  28: one('csi', CSI),
  29: one('ephemeral', EPHEMERAL),
});
const VOLUME = messageShape({ 1: textKept('name'), 2: inline(VOLUME_SOURCE) });
const RESOURCE_CLAIM = messageShape({
  1: textKept('name'),
  3: textKept('resourceClaimName'),
  4: textKept('resourceClaimTemplateName'),
});

const TERMINATED = messageShape({ 6: time('finishedAt') });
const CONTAINER_STATUS = messageShape({
  1: textKept('name'),
  10: amounts('allocatedResources'),
  11: one('resources', RESOURCES),
});
const CONDITION = messageShape({
  1: textKept('type'),
  2: textKept('status'),
  4: time('lastTransitionTime'),
  5: text('reason'),
  6: text('message'),
});

/** What `readTemplate` and `describeSource` look at. */
export const POD_TEMPLATE: Shape = messageShape({
  1: one(
    'metadata',
    metadataShape(() => false),
  ),
  2: one(
    'spec',
    messageShape({
      1: list('volumes', VOLUME),
      2: list('containers', CONTAINER),
      7: textMap('nodeSelector'),
      10: text('nodeName'),
      11: flag('hostNetwork'),
      18: one('affinity', AFFINITY),
      20: list('initContainers', CONTAINER),
      22: list('tolerations', TOLERATION),
      32: amounts('overhead'),
      33: list('topologySpreadConstraints', SPREAD),
      39: list('resourceClaims', RESOURCE_CLAIM),
      40: one('resources', RESOURCES),
    }),
  ),
  3: one(
    'status',
    messageShape({
      2: listOfThose('conditions', CONDITION, READ_CONDITIONS),
      8: list('containerStatuses', CONTAINER_STATUS),
      10: list('initContainerStatuses', CONTAINER_STATUS),
      19: amounts('allocatedResources'),
      20: one('resources', RESOURCES),
    }),
  ),
});

/** Only these claims are the pod's own. */
const OWN_VOLUME = messageShape({ 1: textKept('name'), 2: inline(messageShape({ 29: one('ephemeral', ANY) })) });
const EPHEMERAL_AT = [2, 29] as const;

const STATUS_ITSELF = {
  1: text('phase'),
  2: listOfThose('conditions', CONDITION, withoutReady(READ_CONDITIONS)),
  7: time('startTime'),
  11: text('nominatedNodeName'),
};
/** When a pod ended is read of those that did. */
const STATUS_AT_END = {
  ...STATUS_ITSELF,
  2: listOfThose('conditions', CONDITION, READ_CONDITIONS),
  8: list('containerStatuses', messageShape({ 2: one('state', messageShape({ 3: one('terminated', TERMINATED) })) })),
};

/**
 * What a projection takes from the pod rather than from its template. What it does not look at is not read, either:
 * volumes without a claim of the pod's own, and of a pod that has not ended, when it did.
 */
export const POD_ITSELF: Shape = messageShape({
  1: one('metadata', metadataShape(isReadAnnotation)),
  2: one(
    'spec',
    messageShape({
      1: listOfThoseWith('volumes', OWN_VOLUME, EPHEMERAL_AT),
      10: text('nodeName'),
      19: text('schedulerName'),
      24: text('priorityClassName'),
      25: wholeKept('priority'),
      38: list('schedulingGates', messageShape({ 1: textKept('name') })),
      43: one('schedulingGroup', ANY),
    }),
  ),
  3: oneOrMore('status', messageShape(STATUS_ITSELF), messageShape(STATUS_AT_END), hasEnded),
});

function withoutReady(types: ReadonlySet<string>): ReadonlySet<string> {
  return new Set([...types].filter((type) => type !== 'Ready'));
}

function hasEnded({ phase }: Fields): boolean {
  return phase === 'Succeeded' || phase === 'Failed';
}
