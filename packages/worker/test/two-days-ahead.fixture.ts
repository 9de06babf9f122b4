import { shiftClock } from './shift-clock.ts';

shiftClock(2 * 86_400_000);
