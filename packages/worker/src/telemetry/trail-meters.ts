import { metrics } from '@opentelemetry/api';
import type { MonitorState } from '../monitor/monitor.ts';
import { samplesOf, trailMetrics } from '../prometheus/trail-gauges.ts';

/**
 * What the observer saw last, as OpenTelemetry's metrics: those of `/metrics` under dotted names, `spillway.worker.…`. The tags
 * of a sample are its attributes. Nothing that nobody saw is sent.
 */
export function registerTrailMeters(state: () => MonitorState): void {
  const meter = metrics.getMeter('@spillway/worker');
  for (const { sample, name, help, divisor, counts } of trailMetrics) {
    const short = name.replace('spillway_worker_', '').replace(/_(?:seconds|total)$/u, '');
    const options = { description: help, unit: divisor === 1_000 ? 's' : '1' };
    const instrument = counts
      ? meter.createObservableCounter(`spillway.worker.${short}`, options)
      : meter.createObservableGauge(`spillway.worker.${short}`, options);
    instrument.addCallback((result) => {
      for (const { value, tags } of samplesOf(state(), sample)) result.observe(value / divisor, tags);
    });
  }
}
