/** The rules of leader election: what each candidate does next, and when a leader leads and writes. */
import { describe, expect, test } from 'vitest';
import {
  campaign,
  confirmedForMs,
  doubt,
  type Election,
  isConfirmed,
  type LeaseAnswer,
  type LeaseRecord,
  leads,
  nextStep,
  openElection,
  resign,
  securedForMs,
  see,
  settle,
} from '../../../src/cluster/lease/election.ts';

const timing = { leaseMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2_000 };
const at = (now: number, random = 0) => ({ now, random });

function record(fields: Partial<LeaseRecord> = {}): LeaseRecord {
  return { holder: 'other', leaseMs: 15_000, transitions: 3, acquireTime: 'then', version: 'v1', ...fields };
}

const candidate = campaign(openElection('me', timing));

/** Does the request that is due and gets this answer at once. */
function answered(election: Election, now: number, answer: LeaseAnswer, takesMs = 0): Election {
  return settle(election, nextStep(election, now), answer, { ...at(now + takesMs), sentAt: now });
}

function written(fields: Partial<LeaseRecord> = {}): LeaseAnswer {
  return { kind: 'written', record: record({ holder: 'me', transitions: 4, version: 'v2', ...fields }) };
}

/** Has led since 0, with version v2. */
const leader = answered(see(candidate, record({ holder: '' }), at(0)), 0, written());

describe('who does not lead', () => {
  test('wants nothing before it is a candidate', () => {
    expect(nextStep(openElection('me', timing), 0)).toEqual({ kind: 'wait', until: Number.POSITIVE_INFINITY });
  });

  test('reads the Lease if the watch has not shown it', () => {
    expect(nextStep(candidate, 0)).toMatchObject({ kind: 'read' });
  });

  test('creates a Lease where none ever was', () => {
    const claim = { holder: 'me', transitions: 0, acquireTime: undefined };
    expect(nextStep(see(candidate, undefined, at(5)), 5)).toEqual({ kind: 'create', claim });
  });

  test('waits for a whole duration after a Lease vanished: its holder may not know yet', () => {
    const vanished = see(see(candidate, record(), at(0)), undefined, at(1_000));
    expect(nextStep(vanished, 1_000)).toEqual({ kind: 'wait', until: 16_000 });
    expect(nextStep(vanished, 16_000).kind).toBe('create');
  });

  test('waits for the duration from when it saw the last change, whatever times are written', () => {
    const first = see(candidate, record(), at(100));
    expect(nextStep(first, 100)).toEqual({ kind: 'wait', until: 15_100 });
    const same = see(first, record(), at(9_000));
    expect(nextStep(same, 9_000), 'the same version again is no renewal').toEqual({ kind: 'wait', until: 15_100 });
    const renewed = see(first, record({ version: 'v2' }), at(9_000));
    expect(nextStep(renewed, 9_000)).toEqual({ kind: 'wait', until: 24_000 });
  });

  test('takes over by the version that it saw, and counts the transition', () => {
    const seen = see(candidate, record(), at(0));
    const claim = { holder: 'me', transitions: 4, acquireTime: undefined };
    expect(nextStep(seen, 15_000)).toMatchObject({ kind: 'update', version: 'v1', claim });
  });

  test('waits as long as the holder says if that is longer, and its own duration otherwise', () => {
    expect(nextStep(see(candidate, record({ leaseMs: 60_000 }), at(0)), 0)).toMatchObject({ until: 60_000 });
    expect(nextStep(see(candidate, record({ leaseMs: 1_000 }), at(0)), 0)).toMatchObject({ until: 15_000 });
  });

  test('comes a little later by chance, so that not all come at the same time', () => {
    expect(nextStep(see(candidate, record(), at(0, 0.5)), 0)).toMatchObject({ until: 15_200 });
  });

  test('takes a Lease that was given back at once', () => {
    expect(nextStep(see(candidate, record({ holder: '' }), at(7)), 7)).toMatchObject({ kind: 'update' });
  });

  test('takes what it holds already, after an answer that was lost, without a transition', () => {
    const own = see(candidate, record({ holder: 'me' }), at(7));
    const claim = { holder: 'me', transitions: 3, acquireTime: 'then' };
    expect(nextStep(own, 7)).toMatchObject({ kind: 'update', version: 'v1', claim });
  });

  test('reads the Lease again when another one was faster, and starts to wait anew', () => {
    const tooLate = answered(see(candidate, record(), at(0)), 15_000, { kind: 'refused' });
    expect(nextStep(tooLate, 15_000)).toMatchObject({ kind: 'read' });
    const read = answered(tooLate, 15_000, { kind: 'read', record: record({ holder: 'third', version: 'v9' }) });
    expect(nextStep(read, 15_000)).toEqual({ kind: 'wait', until: 30_000 });
    expect(leads(read, 15_000)).toBe(false);
  });

  test('believes the watch that shows a change while the Lease is read: the answer may be older', () => {
    const read = nextStep(candidate, 0);
    const gone = see(see(candidate, record(), at(5)), undefined, at(10));
    const late = settle(gone, read, { kind: 'read', record: record() }, { ...at(10), sentAt: 0 });
    expect(nextStep(late, 10)).toEqual({ kind: 'wait', until: 15_010 });
    expect(nextStep(late, 15_010).kind).toBe('create');
  });

  test('pauses after a request that failed', () => {
    const failed = answered(see(candidate, undefined, at(0)), 0, { kind: 'failed' }, 500);
    expect(nextStep(failed, 500)).toEqual({ kind: 'wait', until: 2_500 });
  });

  test('pauses when it is refused again and again', () => {
    let election = answered(see(candidate, record({ holder: '' }), at(0)), 0, { kind: 'refused' });
    election = answered(election, 0, { kind: 'read', record: record({ holder: '', version: 'v2' }) });
    election = answered(election, 0, { kind: 'refused' });
    expect(nextStep(election, 0)).toEqual({ kind: 'wait', until: 2_000 });
  });
});

describe('who leads', () => {
  test('renews each period by the version that it wrote', () => {
    const claim = { holder: 'me', transitions: 4, acquireTime: 'then' };
    expect(nextStep(leader, 1_999)).toEqual({ kind: 'wait', until: 2_000 });
    expect(nextStep(leader, 2_000)).toMatchObject({ kind: 'update', version: 'v2', claim });
  });

  test('leads until the renew deadline, from when the renewal was sent', () => {
    const renewed = answered(leader, 2_000, written({ version: 'v3' }), 4_000);
    expect(leads(renewed, 11_999)).toBe(true);
    expect(leads(renewed, 12_000)).toBe(false);
  });

  test('writes only for two periods after that', () => {
    expect(confirmedForMs(timing)).toBe(4_000);
    expect([isConfirmed(leader, 3_999), isConfirmed(leader, 4_000)]).toEqual([true, false]);
    expect(confirmedForMs({ ...timing, renewDeadlineMs: 3_000 })).toBe(3_000);
  });

  test('knows how long nobody else can hold the Lease', () => {
    expect([securedForMs(leader, 1_000), securedForMs(leader, 20_000), securedForMs(candidate, 0)]).toEqual([
      14_000, 0, 0,
    ]);
  });

  test('goes on after the deadline if a renewal is accepted: nobody has led meanwhile', () => {
    expect(leads(leader, 60_000)).toBe(false);
    const back = answered(leader, 60_000, written({ version: 'v3' }));
    expect([leads(back, 60_000), isConfirmed(back, 60_000)]).toEqual([true, true]);
  });

  test.each<[string, LeaseRecord | undefined]>([
    ['another holder', record({ holder: 'third', transitions: 5, version: 'v9' })],
    ['a later term under the same name', record({ holder: 'me', transitions: 6, version: 'v9' })],
    ['a Lease that was given back', record({ holder: '', version: 'v9' })],
    ['no Lease', undefined],
  ])('is over when a renewal is refused and the API server has %s', (_, found) => {
    const refused = answered(leader, 2_000, { kind: 'refused' });
    expect(nextStep(refused, 2_000)).toMatchObject({ kind: 'read' });
    const over = answered(refused, 2_000, { kind: 'read', record: found });
    expect(over.isOver).toBe(true);
    expect(leads(over, 2_000)).toBe(false);
    expect(nextStep(see(over, undefined, at(90_000)), 90_000)).toMatchObject({ kind: 'wait' });
  });

  test('is over when there is nothing to renew', () => {
    expect(answered(leader, 2_000, { kind: 'gone' }).isOver).toBe(true);
  });

  test('goes on by the newer version when its own renewal was accepted and the answer was lost', () => {
    const refused = answered(answered(leader, 2_000, { kind: 'failed' }), 4_000, { kind: 'refused' });
    const read = answered(refused, 4_000, {
      kind: 'read',
      record: record({ holder: 'me', transitions: 4, version: 'v3' }),
    });
    expect(isConfirmed(read, 4_000), 'reading confirms nothing').toBe(false);
    expect(nextStep(read, 4_000)).toMatchObject({ kind: 'update', version: 'v3' });
  });

  test('does not write once the watch shows somebody else, before it has renewed', () => {
    const seen = see(leader, record({ holder: 'third', version: 'v9' }), at(100));
    expect([isConfirmed(seen, 100), nextStep(seen, 100).kind]).toEqual([false, 'update']);
    const renewed = answered(seen, 100, written({ version: 'v3' }));
    expect(isConfirmed(renewed, 100), 'it was an old event').toBe(true);
  });

  test('does not take what was seen while a renewal was on its way for older than that', () => {
    const step = nextStep(leader, 2_000);
    const seen = see(leader, record({ holder: 'third', version: 'v9' }), at(2_001));
    const renewed = settle(seen, step, written({ version: 'v3' }), { ...at(2_002), sentAt: 2_000 });
    expect(isConfirmed(renewed, 2_002)).toBe(false);
  });

  test('is not disturbed by the events of its own renewals', () => {
    expect(see(leader, record({ holder: 'me', transitions: 4, version: 'v2' }), at(100))).toBe(leader);
  });

  test('renews at once when it is asked to, and writes nothing before', () => {
    const doubted = doubt(leader);
    expect([isConfirmed(doubted, 500), leads(doubted, 500), nextStep(doubted, 500).kind]).toEqual([
      false,
      true,
      'update',
    ]);
  });
});

describe('who goes', () => {
  test('neither leads nor writes, and gives the Lease back by its version', () => {
    const leaving = resign(leader);
    expect([leads(leaving, 100), isConfirmed(leaving, 100)]).toEqual([false, false]);
    const claim = { holder: '', transitions: 4, acquireTime: 'then' };
    expect(nextStep(leaving, 100)).toMatchObject({ kind: 'update', version: 'v2', claim });
    const gone = answered(leaving, 100, written({ holder: '', version: 'v3' }));
    expect(gone.isOver).toBe(true);
    expect(nextStep(gone, 100)).toMatchObject({ kind: 'wait' });
  });

  test('takes nothing any more', () => {
    const leaving = resign(see(candidate, record({ holder: '' }), at(0)));
    expect(nextStep(leaving, 0)).toEqual({ kind: 'wait', until: Number.POSITIVE_INFINITY });
  });

  test('gives back what it got by a request that was under way', () => {
    const asking = see(candidate, record({ holder: '' }), at(0));
    const got = settle(resign(asking), nextStep(asking, 0), written(), { ...at(10), sentAt: 0 });
    expect(leads(got, 10)).toBe(false);
    expect(nextStep(got, 10)).toMatchObject({ kind: 'update', claim: { holder: '' } });
  });
});
