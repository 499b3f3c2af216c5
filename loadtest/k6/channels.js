// Four channels want one item, under caps and protections. In the end every unit is sold, and each
// channel has what the policy gives it: the split of the profile, to the unit.
import http from 'k6/http';
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
import {
  BASE, newKey, reserve, seed, sku, summarize, trendStats, weighted,
} from './lib.js';

const profile = JSON.parse(open(__ENV.PROFILE || './profiles/channels.json'));
const sold = new Counter('sold');

function expected() {
  const rules = { sold: [`count==${profile.units}`] };
  for (const [channel, split] of Object.entries(profile.split)) {
    const rule = split.exactly === undefined ? `count>=${split.at_least}` : `count==${split.exactly}`;
    rules[`sold{channel:${channel}}`] = [rule];
  }
  return rules;
}

export const options = {
  scenarios: {
    buyers: {
      executor: 'shared-iterations', vus: profile.vus, iterations: profile.buyers,
      maxDuration: profile.duration_max, exec: 'buy',
    },
  },
  thresholds: {
    http_req_failed: ['rate==0'],
    reserve_failed: ['count==0'],
    ...expected(),
  },
  summaryTrendStats: trendStats,
};

const drawChannel = weighted(profile.demand);

export function setup() {
  seed(1, profile.units);
  const res = http.put(`${BASE}/v1/policy?reason=k6`, JSON.stringify(profile.policy), {
    headers: { 'Content-Type': 'application/json' },
  });
  if (res.status !== 200) throw new Error(`policy: ${res.status} ${res.body}`);
}

export function buy() {
  const channel = drawChannel();
  const order = { channel, ttl_seconds: 600, lines: [{ sku: sku(0), quantity: 1 }] };
  if (reserve(newKey(exec), order) !== null) sold.add(1, { channel });
}

export const handleSummary = summarize;
