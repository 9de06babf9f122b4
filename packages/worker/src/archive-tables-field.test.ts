import { builtInArchives } from '@spillway/db';
import { describe, expect, it } from 'vitest';
import { archiveTablesField } from './archive-tables-field.ts';

const read = (entries: readonly object[]) => archiveTablesField.parse(JSON.stringify(entries));
const [calls, audit, generations] = builtInArchives;

describe('SPILLWAY_ARCHIVE_TABLES', () => {
  it("reads as the guide's three when it is not set or lists none", () => {
    expect(archiveTablesField.parse(undefined)).toEqual(builtInArchives);
    expect(read([])).toEqual(builtInArchives);
  });

  it("replaces one of the guide's three, with or without its schema, and keeps what the entry does not name", () => {
    expect(read([{ source: 'generations', retentionDays: 365 }])).toEqual([
      calls,
      audit,
      { ...generations, retentionDays: 365 },
    ]);
    const entry = { source: 'public.audit_logs', target: 'cold.audit', timestampColumn: 'at', where: 'done' };
    expect(read([entry])).toEqual([
      calls,
      { ...audit, target: { schema: 'cold', name: 'audit' }, timestampColumn: 'at', where: 'done' },
      generations,
    ]);
  });

  it('leaves out a table that is not enabled', () => {
    expect(read([{ source: 'api_call_logs', enabled: false }])).toEqual([audit, generations]);
    expect(
      read(builtInArchives.map(({ source }) => ({ source: source.name, enabled: false, retentionDays: 3 }))),
    ).toEqual([]);
    expect(read([{ source: 'sessions', enabled: false }])).toEqual(builtInArchives);
  });

  it('keeps a table of the same name in another schema apart', () => {
    expect(read([{ source: 'app.generations', target: 'archive.app_generations', retentionDays: 1 }])).toHaveLength(4);
  });

  it.each([
    [[{ source: 'sessions', retentionDays: 1 }], '0.target: must be given for public.sessions'],
    [[{ source: 'sessions', target: 'archive.sessions' }], '0.retentionDays: must be given for public.sessions'],
    [
      [{ source: 'audit_logs' }, { source: 'public.audit_logs', enabled: false }],
      '1.source: public.audit_logs has an entry already',
    ],
    [[{ source: 'audit_logs', enabled: 'no' }], '0.enabled: '],
  ])('refuses %j', (entries, message) => {
    expect(() => read(entries)).toThrow(message);
  });
});
