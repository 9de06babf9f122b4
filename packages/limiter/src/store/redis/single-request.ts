import { faultOf, type RedisFault } from '@spillway/redis';
import { outcomes } from '../../decision.ts';
import type { Decision, Policy } from '../../types.ts';
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

/** The modes of a request that is only to be answered: a block that was only watched counts where the policy watches. */
const PEEK = 2;
const PEEK_WATCHING = 6;

/** The mode in which a request under the policy is only answered. */
export function peekMode({ mode }: Policy): number {
  return mode === 'shadow' ? PEEK_WATCHING : PEEK;
}

/** Whether a request of that mode is only to be answered. */
export function isPeek(mode: number): boolean {
  return mode >= PEEK;
}

/** A request on its own: nearly all there are. */
export interface SingleItem {
  readonly request: StoreRequest;
  readonly mode: number;
  readonly resolve: (decision: Decision | Promise<Decision>) => void;
}

/** Makes a {@link SingleItem}. */
export function singleItem(request: StoreRequest, peek: boolean, resolve: SingleItem['resolve']): SingleItem {
  return { request, mode: peek ? peekMode(request.policy) : MODES[request.policy.mode], resolve };
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
  /** Decides by the general script: what another algorithm has counted, before a live change, is taken over there. */
  readonly decideGenerally: (request: StoreRequest, operation: 'consume' | 'peek') => Promise<Decision>;
  /** Called for each refusal of a subject that was blocked already. */
  readonly onRefusedWhileBlocked: BlockedListener;
  /** Told how many events of a batch found the outbox full. */
  readonly onDropped: (count: number) => void;
}

/** How a batch of single requests hears what became of it. */
export interface Settlement {
  /** By 17 bytes a request. */
  settle(batch: readonly SingleItem[], reply: Buffer, readOnly: boolean, askedAtMs: number): void;
  /** By 4 bytes a request, and 17 more for those that these don't say all about: decide-log.lua's reply. */
  settleUnits(batch: readonly SingleItem[], reply: Buffer, readOnly: boolean, askedAtMs: number): void;
  fail(batch: readonly SingleItem[], fault: RedisFault): void;
}

/** Makes a {@link Settlement}. */
export function settlementOf({
  fallback,
  decideGenerally,
  onRefusedWhileBlocked,
  onDropped,
}: SettlementOptions): Settlement {
  function settleOne(item: SingleItem, reply: Buffer, offset: number, readOnly: boolean, askedAtMs: number): void {
    const { request, mode, resolve } = item;
    if (reply[offset] === outcomes.foreign) {
      resolve(decideGenerally(request, isPeek(mode) ? 'peek' : 'consume'));
      return;
    }
    const decision = decisionAt(request.policy, reply, offset, timeOf(reply));
    if (reply[offset] === outcomes.blocked && !isPeek(mode)) onRefusedWhileBlocked(request, decision, askedAtMs);
    if (readOnly && !isPeek(mode) && reply[offset] === outcomes.allowed)
      resolve(fallback.decide(request, false, faultOf('out_of_memory')));
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
    fail(batch, fault) {
      for (const { request, mode, resolve } of batch) resolve(fallback.decide(request, isPeek(mode), fault));
    },
  };
}
