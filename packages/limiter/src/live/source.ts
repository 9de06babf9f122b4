/** Where live entries are kept. Redis and memory pass one conformance suite. */
export interface LiveSource {
  /** All fields with their values, and the version among them. */
  load(): Promise<ReadonlyMap<string, string>>;
  /**
   * Sets a field, or removes it.
   * @returns whether it was there before, or `full` when there was no room.
   */
  write(field: string, value: string | undefined): Promise<boolean | 'full'>;
  /** Calls back with a version that may be new. Called more often than needed, never too seldom. */
  listen(onVersion: (version: string) => void): void;
  close(): void;
}
