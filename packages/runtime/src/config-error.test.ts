import { expect, it } from 'vitest';
import { ConfigError } from './config-error.ts';

it('names the variable, what it must be and what it is', () => {
  expect(new ConfigError('PORT', 'a number', 'http')).toMatchObject({
    code: 'invalid_config',
    name: 'ConfigError',
    variable: 'PORT',
    message: 'PORT must be a number, got "http"',
  });
  expect(new ConfigError('PORT', 'a number', undefined).message).toBe('PORT must be a number, but is not set');
});

it.each(['SPILLWAY_SESSION_SECRET', 'ALERT_WEBHOOK_SECRET', 'DB_PASSWORD', 'API_TOKEN', 'SIGNING_KEY'])(
  'shows nothing of the value of %s but its length',
  (variable) => {
    expect(new ConfigError(variable, 'longer', 'hunter2').message).toBe(`${variable} must be longer, got 7 characters`);
  },
);

it.each([
  ['postgre://me:s3cret@db/x', '"postgre://***@db/x"'],
  ['HTTP://me:s3cret@db', '"HTTP://***@db"'],
  ['//me:s3cret@db', '"***@db"'],
  ['me:s3/cret@cache', '"***@cache"'],
  ['me:s3//cret@cache', '"***@cache"'],
  ['http://me:s3@cret@db', '"http://***@db"'],
  ['http://me:s3://cret@db', '"http://***@db"'],
  ['http://me:s3\ncret@db', '"http://***@db"'],
])('shows no credentials of %j', (value, shown) => {
  expect(new ConfigError('URL', 'right', value).message).toBe(`URL must be right, got ${shown}`);
});
