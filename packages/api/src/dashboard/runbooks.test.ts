import { readFile } from 'node:fs/promises';
import { defaultAlertRules } from '@spillway/worker';
import { expect, it } from 'vitest';
import { runbookNames, runbooksHtml, runbooksText } from '../../runbooks.ts';
import { RANGES, stepsOf } from './snapshot-shape.ts';

it('there is a runbook for each alert that the worker opens, and none for another', () => {
  const rules = [...new Set(defaultAlertRules.map(({ rule }) => rule))];
  const names = runbookNames().filter((name) => /^[a-z_]+$/u.test(name));
  expect(names.toSorted()).toEqual(rules.toSorted());
});

it('every alert of Prometheus is in one of them', async () => {
  const rules = await readFile(new URL('../../../../deploy/prometheus/rules.yml', import.meta.url), 'utf8');
  const alerts = [...rules.matchAll(/alert: (\w+)/gu)].map(([, name = '']) => name);
  expect(alerts.length).toBeGreaterThan(15);
  expect(alerts.filter((name) => !runbooksText().includes(`\`${name}\``))).toEqual([]);
});

it('each can be linked by the name of its alert, and their own links lead somewhere', () => {
  const html = runbooksHtml();
  const ids = new Set([...html.matchAll(/ id="([^"]+)"/gu)].map(([, id]) => id));
  for (const { rule } of defaultAlertRules) expect(ids).toContain(rule);
  const links = [...html.matchAll(/ href="([^"]+)"/gu)].map(([, href = '']) => href);
  expect(links.filter((href) => !ids.has(href.slice(1)))).toEqual([]);
});

it('a range has a step for each place of its chart, aligned to the clock, without one whose counts may still arrive', () => {
  const now = Date.UTC(2026, 10, 29, 12, 34, 56);
  for (const range of Object.values(RANGES)) {
    const steps = stepsOf(range, now);
    expect(steps).toHaveLength(range.rangeMs / range.stepMs);
    expect(steps.every((at) => at % range.stepMs === 0)).toBe(true);
    const end = (steps.at(-1) ?? 0) + range.stepMs;
    expect(end).toBeLessThanOrEqual(now - 5_000);
    expect(end).toBeGreaterThan(now - 5_000 - range.stepMs);
  }
});
