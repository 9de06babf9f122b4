import { type Kind, kinds } from '../plan.ts';
import { type Fault, LimitOracle, type SeenBlock } from './limit-oracle.ts';

/** A wrong answer, and to whom. */
export interface FaultReport {
  readonly fault: Fault;
  readonly user: number;
  readonly kind: Kind;
  readonly sentMs: number;
  readonly receivedMs: number;
}

/** A block that a user saw begin. */
export interface BlockReport extends SeenBlock {
  readonly user: number;
  readonly kind: Kind;
}

/** All that the users know at the end. Times are epoch ms. */
export interface LedgerReport {
  readonly admitted: readonly [number, number, number];
  readonly refused: readonly [number, number, number];
  readonly lost: readonly [number, number, number];
  readonly faults: readonly FaultReport[];
  readonly faultCount: number;
  readonly blocks: readonly BlockReport[];
}

/** More are counted and not kept. */
const MAX_FAULTS = 100;

/** What was asked and answered, judged at once, user by user. Requests of a user must be told in order. */
export class Ledger {
  readonly #oracles = new Map<number, LimitOracle>();
  readonly #admitted: [number, number, number] = [0, 0, 0];
  readonly #refused: [number, number, number] = [0, 0, 0];
  readonly #lost: [number, number, number] = [0, 0, 0];
  readonly #faults: FaultReport[] = [];
  readonly #blocks: BlockReport[] = [];
  #faultCount = 0;

  admitted(user: number, kind: Kind, sentMs: number, receivedMs: number): void {
    this.#admitted[kind] += 1;
    const fault = this.#oracle(user, kind).admitted(sentMs, receivedMs);
    if (fault !== undefined) this.#accuse({ fault, user, kind, sentMs, receivedMs });
  }

  refused(user: number, kind: Kind, sentMs: number, receivedMs: number): void {
    this.#refused[kind] += 1;
    const { fault, block } = this.#oracle(user, kind).refused(sentMs, receivedMs);
    if (fault !== undefined) this.#accuse({ fault, user, kind, sentMs, receivedMs });
    if (block !== undefined) this.#blocks.push({ ...block, user, kind });
  }

  lost(user: number, kind: Kind, sentMs: number, lostMs: number): void {
    this.#lost[kind] += 1;
    const block = this.#oracle(user, kind).lost(sentMs, lostMs);
    if (block !== undefined) this.#blocks.push({ ...block, user, kind });
  }

  report(): LedgerReport {
    return {
      admitted: this.#admitted,
      refused: this.#refused,
      lost: this.#lost,
      faults: this.#faults,
      faultCount: this.#faultCount,
      blocks: this.#blocks,
    };
  }

  #oracle(user: number, kind: Kind): LimitOracle {
    const key = user * kinds.length + kind;
    let oracle = this.#oracles.get(key);
    if (oracle === undefined) {
      oracle = new LimitOracle(kinds[kind].rule);
      this.#oracles.set(key, oracle);
    }
    return oracle;
  }

  #accuse(report: FaultReport): void {
    this.#faultCount += 1;
    if (this.#faults.length < MAX_FAULTS) this.#faults.push(report);
  }
}
