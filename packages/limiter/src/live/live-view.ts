import { type LiveEntryError, readEntries, VERSION_FIELD } from './entries.ts';
import { type LiveTable, liveTable } from './table.ts';
import type { LiveSource } from './sources.ts';

/** The entries as they are known here. */
export interface LiveView {
  readonly table: LiveTable;
  /** Reads them now. */
  refresh(): Promise<void>;
}

const NOTHING_YET = 'nothing read yet';

/** Keeps the compiled entries of the newest version. While they can't be read the last known ones hold. */
export function liveView(source: LiveSource, onError: (error: LiveEntryError) => void): LiveView {
  let table = liveTable({ policies: [], overrides: [], allowed: [], denied: [], blocked: [] }, 0);
  let version = NOTHING_YET;
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;

  async function load(): Promise<void> {
    const stored = await source.load();
    const loaded = stored.fields.get(VERSION_FIELD) ?? '';
    if (loaded === version) return;
    // Counted from when it was asked: a block never ends later here than where Redis sees its end.
    table = liveTable(readEntries(stored, onError), stored.askedAt - stored.nowMs);
    version = loaded;
  }

  function begin(): Promise<void> {
    running = load().finally(() => {
      running = undefined;
    });
    return running;
  }

  // One reading at a time. Whoever asks while one runs may know of something that it has missed, and gets the next.
  function refresh(): Promise<void> {
    if (running === undefined) return begin();
    next ??= running
      .catch(() => undefined)
      .then(() => {
        next = undefined;
        return begin();
      });
    return next;
  }

  const refreshQuietly = (): void => {
    refresh().catch(() => {
      // Redis is away. The version is read again with each pulse, and still is another one then.
    });
  };
  source.listen((heard) => {
    if (heard !== version) refreshQuietly();
  });
  refreshQuietly();
  return {
    get table() {
      return table;
    },
    refresh,
  };
}
