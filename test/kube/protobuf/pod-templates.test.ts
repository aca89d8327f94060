/** Which pods share a template when they are read from protobuf: those of one workload, whatever differs beside it. */
import { describe, expect, test } from 'vitest';
import { podKind } from '../../../src/cluster/kinds.ts';
import type { PodModel } from '../../../src/core/objects/model.ts';
import { PodProjector } from '../../../src/core/objects/pod-projection.ts';
import { WireReader } from '../../../src/kube/protobuf/wire-reader.ts';
import { encodeObject } from '../../support/kube-wire.ts';

const { message, project } = podKind(new PodProjector({ maxTemplates: 50, managedResources: ['nvidia.com/gpu'] }));

const container = { name: 'main', image: 'a', resources: { requests: { 'nvidia.com/gpu': '8' } } };
const pinTo = (node: string) => ({
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }],
    },
  },
});

function pod(spec: object, metadata: object = {}, status: object = {}): object {
  return {
    metadata: { name: 'p', namespace: 'ns', uid: 'u', ...metadata },
    spec: { containers: [container], ...spec },
    status,
  };
}

function read(object: object): PodModel {
  const bytes = encodeObject('core.Pod', object);
  return message.project(message.read(new WireReader(bytes), bytes.length));
}

const base = read(pod({}));

describe('one template', () => {
  test.each<readonly [string, object]>([
    [
      'the environment and the image',
      pod({ containers: [{ ...container, image: 'b', env: [{ name: 'RANK', value: '7' }] }] }),
    ],
    [
      'labels, annotations and the node',
      pod({ nodeName: 'n1' }, { labels: { index: '3' }, annotations: { 'muster.dev/x': 'y' } }),
    ],
    [
      'volumes that kube-scheduler does not judge',
      pod({
        volumes: [
          { name: 'token-x', emptyDir: {} },
          { name: 'b', hostPath: { path: '/x' } },
        ],
      }),
    ],
    ['what a running pod says', pod({}, {}, { phase: 'Running', containerStatuses: [{ name: 'main', ready: true }] })],
    ['the pin of a bound pod of a DaemonSet', daemon('n1')],
    ['another such pin', daemon('n2')],
  ])('in spite of %s', (_, other) => {
    expect(read(other).template).toBe(base.template);
  });

  test('for the same pod in JSON', () => {
    expect(project(pod({})).template).toBe(base.template);
  });
});

function daemon(nodeName: string): object {
  const ownerReferences = [{ apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'd', uid: 'u', controller: true }];
  return pod({ nodeName, affinity: pinTo(nodeName) }, { ownerReferences });
}

describe('another template', () => {
  const requests = { cpu: '2' };
  test.each<readonly [string, object]>([
    ['requests', pod({ containers: [{ ...container, resources: { requests } }] })],
    ['init containers', pod({ initContainers: [{ ...container, name: 'i', resources: { requests } }] })],
    [
      'a sidecar',
      pod({ initContainers: [{ ...container, name: 'i', restartPolicy: 'Always', resources: { requests } }] }),
    ],
    ['requests of the pod', pod({ resources: { requests } })],
    ['overhead', pod({ overhead: requests })],
    ['ports', pod({ containers: [{ ...container, ports: [{ containerPort: 80, hostPort: 80 }] }] })],
    ['hostNetwork', pod({ hostNetwork: true, containers: [{ ...container, ports: [{ containerPort: 80 }] }] })],
    ['a node selector', pod({ nodeSelector: { zone: 'a' } })],
    ['node affinity', pod({ affinity: pinTo('n1') })],
    ['tolerations', pod({ tolerations: [{ operator: 'Exists' }] })],
    ['a claim', pod({ volumes: [{ name: 'a', persistentVolumeClaim: { claimName: 'c' } }] })],
    ['a disk', pod({ volumes: [{ name: 'a', csi: { driver: 'd' } }] })],
    ['claims of resources', pod({ resourceClaims: [{ name: 'a', resourceClaimName: 'c' }] })],
    [
      'anti-affinity',
      pod({
        affinity: {
          podAntiAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: [
              { topologyKey: 'kubernetes.io/hostname', labelSelector: {} },
            ],
          },
        },
      }),
    ],
    [
      'spread',
      pod({ topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' }] }),
    ],
    ['what is allocated', pod({}, {}, { containerStatuses: [{ name: 'main', allocatedResources: { cpu: '3' } }] })],
    ['what is actuated', pod({}, {}, { containerStatuses: [{ name: 'main', resources: { requests: { cpu: '3' } } }] })],
    ['what is allocated to the pod', pod({ resources: { requests } }, {}, { resources: { requests: { cpu: '4' } } })],
  ])('for other %s, and the same one for the same', (_, other) => {
    const { template } = read(other);
    expect(template.key).not.toBe(base.template.key);
    expect(template).toEqual(
      podKind(new PodProjector({ maxTemplates: 1, managedResources: ['nvidia.com/gpu'] })).project(other).template,
    );
    expect(read(other).template).toBe(template);
  });
});
