/** The `topology` section of the configuration. */

import { PLACEMENT_SCORES, type PlacementScore } from '../core/placement/gang-request.ts';
import { EXCLUSIVE_LEVELS } from '../core/topology/known-labels.ts';
import type { ConfiguredLevels } from '../core/topology/levels.ts';
import { HOST } from '../core/topology/tree.ts';
import type { Section, TextForm } from './section.ts';

export interface TopologyConfiguration {
  /** Outer to inner; undefined: detected from the nodes' labels. */
  readonly levels: ConfiguredLevels | undefined;
  /** The levels of which a gang may have domains for itself. */
  readonly exclusiveLevels: readonly string[];
  /** Which domain to prefer among those that can hold a gang. */
  readonly policy: PlacementScore;
}

const levelName: TextForm = {
  expected: 'a level name such as rack',
  pattern: /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/,
};
const labelKey: TextForm = {
  expected: 'a node label key such as topology.kubernetes.io/rack',
  pattern: /^([a-z0-9]([a-z0-9.-]*[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/,
};

/** Reads the section; problems are reported to it. */
export function readTopology(section: Section): TopologyConfiguration {
  const levels = section.optionalSections('levels')?.map((level) => {
    const read = { name: level.requiredText('name', levelName), label: level.requiredText('label', labelKey) };
    level.end();
    return read;
  });
  const topology = {
    levels,
    exclusiveLevels: section.texts('exclusiveLevels', EXCLUSIVE_LEVELS, levelName),
    policy: section.choice('policy', 'best-fit', PLACEMENT_SCORES),
  };
  section.end();
  return topology;
}

/** Checks across the levels; returns one message per problem. */
export function checkTopology({ levels = [] }: TopologyConfiguration): readonly string[] {
  const names = [...levels.map(({ name }) => name), HOST.name];
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice === undefined) return [];
  return [
    `topology.levels: expected different names and none called ${HOST.name}, which is always the innermost level, ` +
      `found "${twice}" twice`,
  ];
}
