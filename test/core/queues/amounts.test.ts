import { expect, test } from 'vitest';
import { addUse, dimensionOf, namesModel, resourceOf, sumAmounts } from '../../../src/core/queues/amounts.ts';
import { aTemplate, GIB, GPU } from '../../support/builders.ts';

const H100 = 'NVIDIA-H100-80GB-HBM3';
const isAccelerator = (resource: string) => resource === GPU;

test('a pod counts in every resource, and its accelerators under the model of its node too', () => {
  const use = new Map([[GPU, 1]]);
  const template = aTemplate({ gpus: 8, cpu: 2, memory: 3, requests: { 'ephemeral-storage': 5 } });
  addUse(use, template, H100, isAccelerator, 2);
  expect(Object.fromEntries(use)).toEqual({ [GPU]: 17, [`${GPU} ${H100}`]: 16, cpu: 4000, memory: 6 * GIB });
});

test.each([undefined, ''])('with the model unknown (%j) it counts in no dimension of a model', (model) => {
  const use = new Map<string, number>();
  addUse(use, aTemplate({ gpus: 8 }), model, isAccelerator);
  expect([...use.keys()].filter(namesModel)).toEqual([]);
  expect(use.get(GPU)).toBe(8);
});

test('a dimension has a resource and may name a model', () => {
  expect([dimensionOf(GPU, undefined), dimensionOf(GPU, ''), dimensionOf(GPU, H100)]).toEqual([
    GPU,
    GPU,
    `${GPU} ${H100}`,
  ]);
  expect([resourceOf(GPU), resourceOf(`${GPU} ${H100}`)]).toEqual([GPU, GPU]);
});

test('amounts are added dimension by dimension, and the parts stay as they are', () => {
  const part = new Map([['cpu', 1]]);
  expect(Object.fromEntries(sumAmounts([part, part, new Map([['memory', 5]])]))).toEqual({ cpu: 2, memory: 5 });
  expect(part.get('cpu')).toBe(1);
});
