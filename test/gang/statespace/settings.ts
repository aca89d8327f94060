/** Which gangs the searches are about. There are four places: one gang starts, and at most one member of the other. */
import type { Setting } from './model.ts';

/** Both may start, one of them with two of its three members. */
export const RIVALS: Setting = {
  gangs: [
    { name: 'a', min: 3, priority: 0, isGated: false },
    { name: 'b', min: 2, priority: 0, isGated: false },
  ],
};

/** The gated gang evicts the other one if that starts first. */
export const PREEMPTOR: Setting = {
  gangs: [
    { name: 'a', min: 3, priority: 100, isGated: true },
    { name: 'b', min: 2, priority: 0, isGated: false },
  ],
};
