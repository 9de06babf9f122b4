import { outcomes } from '../../decision.ts';
import type { Decision } from '../../types.ts';
import type { BlockedListener, StoreRequest } from '../store.ts';
import type { Fallback } from './fallback.ts';
import {
  admittedWith,
  decisionAt,
  droppedAt,
  ELSEWHERE,
  REPLY_HEADER,
  REPLY_SIZE,
  timeOf,
  UNITS_SIZE,
} from './reply.ts';

const MODES = { enforce: 0, shadow: 1 } as const;

/** The mode of a request that is only to be answered. */
export const PEEK = 2;

/** A request on its own: nearly all there are. */
export interface SingleItem {
  readonly request: StoreRequest;
  readonly mode: number;
  readonly resolve: (decision: Decision | Promise<Decision>) => void;
}

/** Makes a {@link SingleItem}. */
export function singleItem(request: StoreRequest, peek: boolean, resolve: SingleItem['resolve']): SingleItem {
  return { request, mode: peek ? PEEK : MODES[request.policy.mode], resolve };
}

/** True when one description fits both. */
export function alike(one: SingleItem, other: SingleItem): boolean {
  return (
    one.request.policy === other.request.policy && one.request.cost === other.request.cost && one.mode === other.mode
  );
}

/** What a {@link Settlement} is made of. */
export interface SettlementOptions {
  /** Answers what Redis doesn't. */
  readonly fallback: Fallback;
  /** Called for each refusal of a subject that was blocked already. */
  readonly onRefusedWhileBlocked: BlockedListener;
  /** Told how many events of a batch found the outbox full. */
  readonly onDropped: (count: number) => void;
}

/** How a batch of single requests hears what became of it. */
export interface Settlement {
  /** By 13 bytes a request. */
  settle(batch: readonly SingleItem[], reply: Buffer, readOnly: boolean, askedAtMs: number): void;
  /** By 4 bytes a request, and 13 more for those that these don't say all about: decide-log.lua's reply. */
  settleUnits(batch: readonly SingleItem[], reply: Buffer, readOnly: boolean, askedAtMs: number): void;
  fail(batch: readonly SingleItem[]): void;
}

/** Makes a {@link Settlement}. */
export function settlementOf({ fallback, onRefusedWhileBlocked, onDropped }: SettlementOptions): Settlement {
  function settleOne(item: SingleItem, reply: Buffer, offset: number, readOnly: boolean, askedAtMs: number): void {
    const { request, mode, resolve } = item;
    const decision = decisionAt(request.policy, reply, offset, timeOf(reply));
    if (reply[offset] === outcomes.blocked && mode !== PEEK) onRefusedWhileBlocked(request, decision, askedAtMs);
    if (readOnly && mode !== PEEK && reply[offset] === outcomes.allowed) resolve(fallback.decide(request, false));
    else resolve(decision);
  }

  function settleEnd(reply: Buffer, end: number): void {
    const dropped = droppedAt(reply, end);
    if (dropped > 0) onDropped(dropped);
  }

  return {
    settle(batch, reply, readOnly, askedAtMs) {
      let offset = REPLY_HEADER;
      for (const item of batch) {
        settleOne(item, reply, offset, readOnly, askedAtMs);
        offset += REPLY_SIZE;
      }
      settleEnd(reply, offset);
    },
    settleUnits(batch, reply, readOnly, askedAtMs) {
      const nowMs = timeOf(reply);
      let offset = REPLY_HEADER;
      let end = offset + UNITS_SIZE * batch.length;
      for (const item of batch) {
        const units = reply.readUInt32BE(offset);
        offset += UNITS_SIZE;
        if (units === ELSEWHERE) {
          settleOne(item, reply, end, readOnly, askedAtMs);
          end += REPLY_SIZE;
        } else item.resolve(admittedWith(item.request.policy, units, nowMs));
      }
      settleEnd(reply, end);
    },
    fail(batch) {
      for (const { request, mode, resolve } of batch) resolve(fallback.decide(request, mode === PEEK));
    },
  };
}
