export { type StartTelemetryOptions, startTelemetry, type Telemetry } from './start-telemetry.ts';
export { type Blocked, type NoteRedis, noteTrace, takeTraces } from './trace-notes.ts';
