// A promotion: warm, spike at the stroke of the hour, plateau, tail. Most buyers want the same few
// things, some give up, some clients send everything twice, and in the end it is sold out.
import exec from 'k6/execution';
import {
  act, availability, newKey, reserve, seed, sku, summarize, trendStats, weighted, zipf,
} from './lib.js';

const profile = JSON.parse(open(__ENV.PROFILE || './profiles/small.json'));

function phase(name, startTime, stages, startRate) {
  return {
    executor: 'ramping-arrival-rate', timeUnit: '1s', startTime: `${startTime}s`, startRate, stages,
    preAllocatedVUs: profile.vus, maxVUs: profile.vus_max, exec: 'buy', tags: { phase: name },
    gracefulStop: '5s',
  };
}

const { warm, spike, plateau, tail } = profile.phases;
const low = Math.max(1, Math.round(profile.peak_rate / 20));
const steady = Math.round(profile.peak_rate * profile.plateau_share);

export const options = {
  scenarios: {
    warm: phase('warm', 0, [{ target: low, duration: `${warm}s` }], 1),
    spike: phase('spike', warm, [
      { target: profile.peak_rate, duration: `${Math.max(1, Math.round(spike / 10))}s` },
      { target: profile.peak_rate, duration: `${spike}s` },
    ], low),
    plateau: phase('plateau', warm + spike + Math.max(1, Math.round(spike / 10)), [
      { target: steady, duration: `${plateau}s` },
    ], steady),
    tail: phase('tail', warm + spike + Math.max(1, Math.round(spike / 10)) + plateau, [
      { target: low, duration: `${tail}s` },
    ], steady),
  },
  thresholds: {
    // Otherwise the generator and not the server was the limit.
    dropped_iterations: ['count==0'],
    http_req_failed: ['rate==0'],
    reserve_failed: ['count==0'],
    'http_req_duration{phase:spike}': [
      { threshold: `p(99)<${profile.p99_ms_max}`, abortOnFail: true, delayAbortEval: '10s' },
    ],
    'http_req_duration{phase:plateau}': [`p(99)<${profile.p99_ms_max}`],
    'http_req_duration{phase:tail}': [`p(99)<${profile.p99_ms_max}`],
  },
  summaryTrendStats: trendStats,
};

const drawSku = zipf(profile.skus, profile.zipf_exponent);
const drawChannel = weighted(profile.channels);
const drawFate = weighted(profile.fates);
const drawLines = weighted(profile.lines_per_order);

export function setup() {
  seed(profile.skus, profile.units_per_sku);
}

export function buy() {
  const channel = drawChannel();
  const item = Math.random() < profile.hot_share ? 0 : drawSku();
  if (Math.random() < profile.browse_share) {
    availability(sku(item), channel);
    return;
  }
  const numbers = new Set([item]);
  const count = Number(drawLines());
  while (numbers.size < Math.min(count, profile.skus)) numbers.add(drawSku());
  const lines = Array.from(numbers, (number) => ({ sku: sku(number), quantity: 1 }));
  const order = { channel, ttl_seconds: profile.ttl_seconds, lines };
  const key = newKey(exec);
  const made = reserve(key, order);
  if (Math.random() < profile.duplicate_share) {
    const again = reserve(key, order, true);
    if ((again === null) !== (made === null) || (made && again.id !== made.id)) {
      exec.test.abort(`key ${key} was answered twice differently`);
    }
  }
  if (made === null) return;
  const fate = drawFate();
  if (fate !== 'abandon') act(made.id, fate, newKey(exec));
}

export const handleSummary = summarize;
