/** Something that decides requests, made ready to be measured. */
export interface Contender {
  readonly name: string;
  /** What it does in Redis, for the table. */
  readonly algorithm: string;
  decide(subject: string): Promise<unknown>;
  close(): Promise<void>;
}

/** The rule that a contender enforces. */
export interface Rule {
  readonly limit: number;
  readonly windowMs: number;
}

/** 100 a minute, the guide's standard tier. */
export const PER_MINUTE: Rule = { limit: 100, windowMs: 60_000 };
