import { describe, expect, it } from 'vitest';
import { eventFields, MalformedEventError } from './event-fields.ts';

const event = (fields: Readonly<Record<string, string>>) =>
  eventFields({ entryId: '1-0', shard: 3, epoch: 10, seq: 7, atMs: 1_000, type: 'block', fields });

describe('eventFields', () => {
  it('reads texts and whole numbers', () => {
    const read = event({ who: '', count: '42' });
    expect([read.text('who'), read.text('count', /^\d+$/u), read.number('count')]).toEqual(['', '42', 42]);
  });

  it.each(['', '-1', '1.5', '1e3', '1234567890123456', 'many'])(
    'refuses %j as a number, by the name of the field',
    (count) => {
      const read = event({ count });
      expect(() => read.number('count')).toThrow(MalformedEventError);
      expect(() => read.number('count')).toThrow(`block event: field "count" is ${JSON.stringify(count)}`);
    },
  );

  it('says what is missing', () => {
    expect(() => event({}).text('who')).toThrow('block event: field "who" is missing');
    expect(() => event({ who: 'ada' }).text('who', /^\d+$/u)).toThrow('block event: field "who" is "ada"');
  });

  it('knows a snapshot by the event that opened it', () => {
    expect(event({ id_seq: '0' }).opening()).toEqual({ shard: 3, epoch: 10, seq: 7, atMs: 1_000 });
    const later = event({ id_seq: '5', id_epoch: '9', id_at: '800' });
    expect(later.opening()).toEqual({ shard: 3, epoch: 9, seq: 5, atMs: 800 });
    expect(() => event({ id_seq: '5' }).opening()).toThrow('id_epoch');
  });
});
