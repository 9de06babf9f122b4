/**
 * One server process and the directory it works in, whatever runs it (a local process, a container).
 *
 * States: idle → `start` → running → `halt` or `kill` or a crash → idle → `start` again on the same data.
 * `dispose` ends it for good from any state and removes what was only made for it.
 */
export interface Runner {
  /** Process id on this machine while running; undefined in containers and when nothing runs. */
  readonly pid: number | undefined;
  /** Launches the process. Resolves when it exists, not when it answers. */
  start(): Promise<void>;
  /** Whether the process that was last started has ended. */
  hasExited(): boolean | Promise<boolean>;
  /** Last lines that the process printed, oldest first. */
  output(): Promise<readonly string[]>;
  /** Freezes the process and its children; connections stay open and silent. */
  pause(): Promise<void>;
  /** Undoes {@link Runner.pause}. */
  resume(): Promise<void>;
  /** Ends the process and its children at once, as a crash would. */
  kill(): Promise<void>;
  /** Stops cleanly, frozen or not, and keeps the data for another start. */
  halt(): Promise<void>;
  /** Stops cleanly and removes throwaway data. Doing it twice is the same as once. */
  dispose(): Promise<void>;
}
