import type { ByHand, LiveChange } from '../types.ts';

/** All fields as they are stored, and when that was. */
export interface StoredEntries {
  /** The version is among them. */
  readonly fields: ReadonlyMap<string, string>;
  /** The source's clock when they were read, in ms since 1970. */
  readonly nowMs: number;
  /** `performance.now()` when they were asked for. */
  readonly askedAt: number;
}

/** One entry to write, and what the trail says of it. */
export interface EntryWrite {
  readonly field: string;
  /** What to store; a block's end is counted by the source's clock, `Infinity` = it has none. Absent: the entry is removed. */
  readonly value?: string | { readonly blockMs: number };
  readonly action: string;
  readonly objectKind: 'policy' | 'override' | 'list' | 'block' | 'plan' | 'preset' | 'file';
  readonly object: string;
  /** What holds where there is no entry, as JSON. */
  readonly instead?: string;
}

/** What came of a write: with what is stored now, empty for nothing. */
export interface Written extends LiveChange {
  readonly value: string;
}

/** Where live entries are kept. Redis and memory pass one conformance suite. */
export interface LiveSource {
  load(): Promise<StoredEntries>;
  /** Writes an entry and records it in the trail, if there is one. Gives `full` when there was no room. */
  write(entry: EntryWrite, by: Required<ByHand>): Promise<Written | 'full'>;
  /** Calls back with a version that may be new. Called more often than needed, never too seldom. */
  listen(onVersion: (version: string) => void): void;
  close(): Promise<void>;
}
