import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { definePolicy } from '../policy.ts';
import { BlockMemory } from './block-memory.ts';

const policy = definePolicy({ name: 'p', limit: 1, windowMs: 1_000 });
const action = 'default';
const later = (): number => performance.now() + 1;
const blockOf = (subject: string, key = `key of ${subject}`) => ({
  key,
  subject,
  action,
  policy,
  storeAheadMs: 0,
  endsAt: 0,
  fitsAt: 0,
  resetAtMs: 0,
  cost: 1,
});
const knows = (memory: BlockMemory, subject: string): boolean => memory.find(policy, subject, action) !== undefined;

describe('the memory of blocks', () => {
  it('holds no more than it may, and lets go of what nobody asks for first', () => {
    const memory = new BlockMemory(3);
    for (const subject of ['a', 'b', 'c']) memory.add(blockOf(subject), later());
    expect(knows(memory, 'a')).toBe(true);
    memory.add(blockOf('d'), later());
    expect(['b', 'a', 'c', 'd'].map((subject) => knows(memory, subject))).toEqual([false, true, true, true]);
  });

  it('stays within its bound when all are in use', () => {
    const memory = new BlockMemory(100);
    const subjects = Array.from({ length: 1_000 }, (_, index) => `subject-${index}`);
    for (const subject of subjects) {
      memory.add(blockOf(subject), later());
      knows(memory, subject);
    }
    expect(memory.size).toBe(100);
    expect(subjects.filter((subject) => knows(memory, subject))).toHaveLength(100);
  });

  it('counts each window of a subject, and forgets one without the others', () => {
    const gone: string[] = [];
    const memory = new BlockMemory(3, (key) => void gone.push(key));
    for (const place of ['one', 'two', 'three']) {
      memory.add({ ...blockOf('a', place), action: place }, later());
      memory.add({ ...blockOf('a', place), action: place }, later());
    }
    expect(memory.size).toBe(3);
    gone.length = 0;
    memory.forget('a', 'two');
    expect(gone).toEqual(['two']);
    const known = ['one', 'two', 'three'].map((place) => memory.find(policy, 'a', place));
    expect(known.map((entry) => entry !== undefined && memory.keyOf(entry))).toEqual(['one', false, 'three']);
    memory.forgetAll();
    expect(memory.size).toBe(0);
    expect(gone.toSorted()).toEqual(['one', 'three', 'two']);
  });

  it('does not take an answer that was asked for before something was forgotten', () => {
    const memory = new BlockMemory(3);
    const askedAt = performance.now();
    memory.forget('a', 'key of a');
    expect(memory.add(blockOf('a'), askedAt)).toBe(false);
    memory.forgetAll();
    expect(memory.add(blockOf('b'), askedAt)).toBe(false);
    expect(memory.add(blockOf('b'), later())).toBe(true);
  });

  it('knows nothing of another policy, be it of the same name', () => {
    const memory = new BlockMemory(3);
    memory.add(blockOf('a'), later());
    const other = definePolicy({ name: 'p', limit: 2, windowMs: 1_000 });
    expect(memory.find(other, 'a', action)).toBeUndefined();
    expect(memory.find(policy, 'a', 'another')).toBeUndefined();
  });

  it('keeps few blocks of one subject, the latest, whatever actions it chooses', () => {
    const memory = new BlockMemory(10_000);
    for (let index = 0; index < 1_000; index += 1) {
      memory.add({ ...blockOf('chooser', `key ${index}`), action: `action ${index}` }, later());
    }
    memory.add(blockOf('other'), later());
    expect(memory.size).toBeLessThanOrEqual(9);
    expect(memory.find(policy, 'chooser', 'action 999')).toBeDefined();
    expect(memory.find(policy, 'chooser', 'action 0')).toBeUndefined();
    expect(knows(memory, 'other')).toBe(true);
  });

  it('is bounded by bytes too: long subjects take the place of more blocks', () => {
    const memory = new BlockMemory(1_000_000);
    for (let index = 0; index < 10_000; index += 1) memory.add(blockOf(`${'x'.repeat(1_000)}${index}`), later());
    expect(memory.size).toBeLessThan(8_000);
    expect(knows(memory, `${'x'.repeat(1_000)}9999`)).toBe(true);
  });

  it('knows what a list of its blocks would know, and loses no refusal, whatever comes and goes', () => {
    const window = fc.record({ subject: fc.constantFrom('a', 'b', 'c', 'd'), place: fc.constantFrom('x', 'y', 'z') });
    const kind = fc.constantFrom('add', 'refuse', 'remove', 'report', 'forget all');
    fc.assert(
      fc.property(fc.array(fc.record({ kind, window }), { maxLength: 120 }), (steps) => {
        let reported = 0;
        let refused = 0;
        const memory = new BlockMemory(1_000, (_, denied) => (reported += denied));
        const model = new Map<string, number>();
        for (const [at, step] of steps.entries()) {
          const { subject, place } = step.window;
          const key = `${place} of ${subject}`;
          if (step.kind === 'add') {
            memory.add({ ...blockOf(subject, key), action: place, endsAt: at }, later());
            model.set(key, at);
          } else if (step.kind === 'remove') {
            memory.remove(subject, key);
            model.delete(key);
          } else if (step.kind === 'forget all') {
            memory.forgetAll();
            model.clear();
          }
          const entry = memory.find(policy, subject, place);
          expect(entry === undefined ? undefined : memory.endsAt(entry)).toBe(model.get(key));
          expect(memory.findKey(subject, key)).toBe(entry);
          expect(memory.size).toBe(model.size);
          if (entry !== undefined && step.kind === 'refuse') {
            memory.countDenied(entry);
            refused += 1;
          } else if (entry !== undefined && step.kind === 'report') reported += memory.takeDenied(entry);
        }
        memory.forgetAll();
        expect(reported).toBe(refused);
      }),
    );
  });
});
