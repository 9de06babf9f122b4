import { expect, it } from 'vitest';
import { byApiKey } from './by-api-key.ts';

const withKey = (key: string): Request => new Request('http://test/', { headers: { 'X-API-Key': key } });

it('names a key by its hash, the same every time and never by itself', () => {
  const subject = byApiKey(withKey('demo'));
  // printf demo | sha256sum | head -c 32
  expect(subject).toBe('api_key:2a97516c354b68848cdbd8f54a226a0a');
  expect(byApiKey(withKey('demo'))).toBe(subject);
  expect(byApiKey(withKey('demo2'))).not.toBe(subject);
});

it('knows nobody without a key or with an empty one', () => {
  expect(byApiKey(new Request('http://test/'))).toBeUndefined();
  expect(byApiKey(withKey(''))).toBeUndefined();
});
