import fc from 'fast-check';
import { Temporal } from 'temporal-polyfill';
import { describe, expect, it } from 'vitest';
import { isTimeZone, periodStarts } from './quota.ts';

const iso = (starts: readonly number[]): string[] => starts.map((start) => new Date(start).toISOString());

describe('periodStarts', () => {
  it('knows that days are 23 and 25 hours long when clocks change', () => {
    expect(iso(periodStarts('day', 'Europe/Berlin', Date.parse('2026-03-29T10:00:00Z')))).toEqual([
      '2026-03-27T23:00:00.000Z',
      '2026-03-28T23:00:00.000Z',
      '2026-03-29T22:00:00.000Z',
      '2026-03-30T22:00:00.000Z',
    ]);
    expect(iso(periodStarts('day', 'Europe/Berlin', Date.parse('2026-10-25T10:00:00Z'))).slice(1, 3)).toEqual([
      '2026-10-24T22:00:00.000Z',
      '2026-10-25T23:00:00.000Z',
    ]);
  });

  it('begins a day at its first moment where midnight does not exist', () => {
    // In Asunción clocks went from 0:00 to 1:00 that day.
    const [, start] = periodStarts('day', 'America/Asuncion', Date.parse('2023-10-01T12:00:00Z'));
    expect(new Date(start).toISOString()).toBe('2023-10-01T04:00:00.000Z');
  });

  it('counts months by the calendar, leap years too', () => {
    expect(iso(periodStarts('month', 'UTC', Date.parse('2028-02-29T23:59:59Z')))).toEqual([
      '2028-01-01T00:00:00.000Z',
      '2028-02-01T00:00:00.000Z',
      '2028-03-01T00:00:00.000Z',
      '2028-04-01T00:00:00.000Z',
    ]);
  });

  it('gives the period that a time lies in as its second, whatever the zone', () => {
    const zones = fc.constantFrom('UTC', 'America/New_York', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'Pacific/Apia');
    fc.assert(
      fc.property(
        fc.constantFrom('day' as const, 'month' as const),
        zones,
        fc.integer({ min: Date.UTC(2000, 0), max: Date.UTC(2100, 0) }),
        (period, zone, at) => {
          const [before, start, end, next] = periodStarts(period, zone, at);
          expect(start <= at && at < end).toBe(true);
          expect(before < start && end < next).toBe(true);
        },
      ),
    );
  });
});

const temporalStarts = (period: 'day' | 'month', zone: string, atMs: number): number[] => {
  const today = Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(zone).toPlainDate();
  const first = period === 'month' ? today.with({ day: 1 }) : today;
  return [-1, 0, 1, 2].map((step) => {
    const date = first.add(period === 'month' ? { months: step } : { days: step });
    return date.toZonedDateTime(zone).epochMilliseconds;
  });
};

describe('periodStarts beside Temporal', () => {
  it('says the same in every zone, on days when clocks change too', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('day' as const, 'month' as const),
        fc.constantFrom(...Intl.supportedValuesOf('timeZone')),
        fc.integer({ min: Date.UTC(1970, 0), max: Date.UTC(2100, 0) }),
        (period, zone, at) => {
          expect(periodStarts(period, zone, at)).toEqual(temporalStarts(period, zone, at));
        },
      ),
      {
        numRuns: 2_000,
        examples: [
          // A day that Samoa left out, midnights that do not exist, midnights that are shown twice.
          ['day', 'Pacific/Apia', Date.UTC(2011, 11, 30, 9, 59)],
          ['day', 'Pacific/Apia', Date.UTC(2011, 11, 30, 10)],
          ['day', 'America/Asuncion', Date.UTC(2023, 9, 1, 3, 59, 59)],
          ['day', 'Africa/Cairo', Date.UTC(2023, 3, 28)],
          ['day', 'America/Havana', Date.UTC(2025, 10, 2, 4, 30)],
          ['day', 'Asia/Beirut', Date.UTC(2024, 9, 26, 21, 30)],
          ['month', 'Africa/Monrovia', Date.UTC(1972, 0, 7)],
        ],
      },
    );
  });
});

describe('isTimeZone', () => {
  it('tells names from nonsense', () => {
    expect(['UTC', 'Europe/Berlin', 'Mars/Base', '', 'x'.repeat(200), '+01:00'].map(isTimeZone)).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
  });
});
