import { type Batch, MAX_SAMPLES } from '../machine/batch.ts';

/** A {@link Batch} in the making: on the path of every call, so it is counted in place. */
export class Tally {
  private successes = 0;
  private failures = 0;
  private slow = 0;
  private quotas = 0;
  private lead = 0;
  private longest = 0;
  private trail = 0;
  private retryAfterMs = 0;
  private quotaMs = 0;
  private samples: string[] = [];

  get isEmpty(): boolean {
    return this.successes + this.failures + this.quotas === 0;
  }

  success(): void {
    if (this.successes === 0) this.lead = this.trail;
    this.successes += 1;
    this.trail = 0;
  }

  failure(message: string, retryAfterMs: number): void {
    this.failures += 1;
    this.trail += 1;
    this.longest = Math.max(this.longest, this.trail);
    this.retryAfterMs = Math.max(this.retryAfterMs, retryAfterMs);
    this.sample(message);
  }

  quota(message: string, quotaMs: number): void {
    this.quotas += 1;
    this.quotaMs = Math.max(this.quotaMs, quotaMs);
    this.sample(message);
  }

  /** The call that was counted last was slow. */
  wasSlow(): void {
    this.slow += 1;
  }

  /** What was counted, to begin anew. */
  take(): Batch {
    const { successes, failures, slow, quotas, longest, trail, retryAfterMs, quotaMs, samples } = this;
    const lead = successes === 0 ? trail : this.lead;
    this.clear();
    return { successes, failures, slow, quotas, lead, longest, trail, retryAfterMs, quotaMs, samples };
  }

  clear(): void {
    this.successes = 0;
    this.failures = 0;
    this.slow = 0;
    this.quotas = 0;
    this.lead = 0;
    this.longest = 0;
    this.trail = 0;
    this.retryAfterMs = 0;
    this.quotaMs = 0;
    this.samples = [];
  }

  private sample(message: string): void {
    if (this.samples.length < MAX_SAMPLES) this.samples.push(message);
  }
}
