/** Plays one case in a process of its own, so that its memory is its own: `child.ts CASE MANY` prints the cost as JSON. */
import { cases } from './cases.ts';

const [index = '', many = ''] = process.argv.slice(2);
const cost = await cases[Number(index)]!.play(Number(many));
console.log(JSON.stringify({ ...cost, peakMiB: process.resourceUsage().maxRSS / 1_024 }));
process.exit(0);
