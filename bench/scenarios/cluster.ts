/** The cluster of the in-process benchmarks as data: 5,000 nodes with 8 GPUs in 100 racks, two thirds of them empty. */
import type { NodeModel, PodModel } from '../../src/core/objects/model.ts';
import { aNode, aPod, aTemplate } from '../../test/support/builders.ts';
import { Random } from '../random.ts';

export const RACK = 'example.com/rack';
export const LEVELS = [{ name: 'rack', label: RACK }];
export const NODES = 5_000;
const RACK_SIZE = 50;

/** Every fifth node belongs to the pool `small`. @param nodes how many there are. */
export function nodeAt(index: number, nodes = NODES): NodeModel {
  const rack = `rack-${String(index % (nodes / RACK_SIZE)).padStart(3, '0')}`;
  const pool = index % 5 === 0 ? 'small' : 'large';
  return aNode({
    name: nodeNameAt(index),
    labels: { [RACK]: rack, 'example.com/pool': pool, 'kubernetes.io/arch': 'amd64', 'kubernetes.io/os': 'linux' },
  });
}

export function nodeNameAt(index: number): string {
  return `gpu-h100-eu-central-1-${String(index).padStart(5, '0')}`;
}

export function clusterNodes(nodes = NODES): NodeModel[] {
  return Array.from({ length: nodes }, (_, index) => nodeAt(index, nodes));
}

/** Its pods: 20 % of the nodes are full, 15 % partly used by small pods, and each runs an agent. Some 7,500 pods. */
export function clusterPods(nodes = NODES): PodModel[] {
  const random = new Random(1);
  const agent = aTemplate({ gpus: 0, cpu: 0.5, memory: 0.5 });
  const whole = aTemplate({ gpus: 8, cpu: 32, memory: 128 });
  const parts = [1, 2, 4].map((gpus) => aTemplate({ gpus, cpu: gpus * 4, memory: gpus * 16 }));
  return Array.from({ length: nodes }, (_, index) => {
    const nodeName = nodeNameAt(index);
    const pods = [aPod({ name: `agent-${index}`, nodeName, template: agent })];
    const lot = random.below(100);
    if (lot < 20) pods.push(aPod({ name: `whole-${index}`, nodeName, template: whole }));
    else if (lot < 35) {
      const count = 1 + random.below(2);
      for (let i = 0; i < count; i++) {
        pods.push(aPod({ name: `part-${index}-${i}`, nodeName, template: parts[random.below(parts.length)]! }));
      }
    }
    return pods;
  }).flat();
}
