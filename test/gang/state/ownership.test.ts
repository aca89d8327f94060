/**
 * One writer for each state: only the module of its name can change a part of a gang's record, a slot or a preemption.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Preempting } from '../../../src/gang/state/preempting.ts';
import type { GangRecord } from '../../../src/gang/state/records.ts';
import type { Slot } from '../../../src/gang/state/slot.ts';

const gang = join(import.meta.dirname, '../../../src/gang');
const files = readdirSync(gang, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => ({ path, text: readFileSync(join(gang, path), 'utf8') }));

/** The writable type of each state, and the only module that knows it. */
const owners = {
  WritableRecord: 'state/records.ts',
  WritableAttempt: 'state/attempt.ts',
  WritableAdmissionStatus: 'state/admission-status.ts',
  WritablePreemptionStatus: 'state/preemption-status.ts',
  WritableRepairStatus: 'state/repair-status.ts',
  WritablePublication: 'state/publication.ts',
  WritablePreempting: 'state/preempting.ts',
  WritableSlot: 'state/slot.ts',
};

describe('a state of the gang package', () => {
  test.each(Object.entries(owners))('%s is named in %s alone, and not exported', (type, owner) => {
    const named = files.filter(({ text }) => new RegExp(`\\b${type}\\b`).test(text)).map(({ path }) => path);
    expect(named).toEqual([owner]);
    expect(files.find(({ path }) => path === owner)?.text).not.toMatch(
      new RegExp(`export (?:interface|type) ${type}\\b`),
    );
  });

  test('has no other writable type than those', () => {
    const declared = files.flatMap(({ text }) =>
      [...text.matchAll(/(?:interface|type) (Writable\w+)/g)].map(([, name]) => name),
    );
    expect(declared.toSorted()).toEqual(Object.keys(owners).toSorted());
  });

  test('is not made writable by a cast', () => {
    const casts = files.filter(({ text }) => /\bas unknown as\b|-readonly\b/.test(text)).map(({ path }) => path);
    expect(casts).toEqual([]);
  });

  test('does not compile when it is written elsewhere', () => {
    // `npm run check` fails if one of these lines compiles.
    const write = (record: GangRecord, slot: Slot, preempting: Preempting) => {
      // @ts-expect-error records.ts writes what was observed
      record.state = 'Running';
      // @ts-expect-error a part is never exchanged
      record.attempt = structuredClone(record.attempt);
      // @ts-expect-error attempt.ts
      record.attempt.backoffUntil = 0;
      // @ts-expect-error attempt.ts, sets and maps too
      record.attempt.clearing.clear();
      // @ts-expect-error attempt.ts, also sets within maps
      record.attempt.refused.get('')?.add('');
      // @ts-expect-error admission-status.ts
      record.admission.holdReason = undefined;
      // @ts-expect-error preemption-status.ts
      record.preemption.preempting = undefined;
      // @ts-expect-error preemption-status.ts
      record.preemption.evictionBackoff.clear();
      // @ts-expect-error repair-status.ts
      record.repair.left.push();
      // @ts-expect-error publication.ts
      record.publication.isAnnounced = true;
      // @ts-expect-error slot.ts
      slot.state = 'held';
      // @ts-expect-error preempting.ts
      preempting.victims.clear();
    };
    expect(write).toBeTypeOf('function');
  });
});
