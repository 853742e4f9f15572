// Whole calls, as a provider makes them: the start, a choice, a spoken wish, the end.
// Every answer must be 200 and sound, and a call must meet one backend only.

import http from 'k6/http';
import exec from 'k6/execution';
import { check, sleep } from 'k6';
import { Counter, Rate } from 'k6/metrics';

export const BASE = __ENV.BASE;
export const ADMIN = __ENV.ADMIN;
export const BACKEND_NEW = __ENV.BACKEND_NEW;
export const SECONDS = Number(__ENV.SECONDS || 10);
export const CALLS_PER_SECOND = Number(__ENV.CALLS_PER_SECOND || 100);

// Webhooks that were not answered as they should have been.
export const failed = new Counter('webhooks_failed');
// Calls that met another backend than the one they began on.
export const affinityBreaks = new Counter('affinity_breaks');
// Share of calls that began on new.
export const onNew = new Rate('calls_on_new');
export const calls = new Counter('calls');

const TENANTS = 1000;
const FORM = { 'Content-Type': 'application/x-www-form-urlencoded; charset=UTF-8', 'User-Agent': 'Telnyx' };

// Open loop: calls begin at this rate, whether or not earlier ones were answered in time.
// `pause`: seconds that their callers take between two webhooks.
export function arrivals(execName, pause) {
  return {
    executor: 'constant-arrival-rate',
    exec: execName,
    rate: CALLS_PER_SECOND,
    timeUnit: '1s',
    duration: `${SECONDS}s`,
    // As many as there are calls at once, and room for a slow moment.
    preAllocatedVUs: Math.ceil(40 + CALLS_PER_SECOND * 5 * pause),
    maxVUs: Math.ceil(200 + CALLS_PER_SECOND * 10 * pause),
    gracefulStop: '10s',
  };
}

// A call from its first webhook to its end. Gives the backend it began on, how many webhooks failed,
// and whether it met new at all.
export function wholeCall(pause) {
  const number = exec.scenario.iterationInTest;
  const id = `v3:k6-${exec.vu.idInTest}-${number}-${Date.now().toString(36)}YzB1cDfGhJkS5uWe9XaQoZiTnVb`;
  const from = `+1415${String(5550000 + (number % 10000))}`;
  const to = `+1555${String((number * 1000003) % TENANTS).padStart(7, '0')}`;
  const steps = [
    ['/ivr', { CallStatus: 'ringing', CallingPartyType: 'pstn' }],
    ['/ivr/choice', { CallStatus: 'in-progress', Digits: String(1 + (number % 3)) }],
    ['/ivr/wish', { CallStatus: 'in-progress', SpeechResult: 'my latest invoice', Confidence: '0.91' }],
    ['/ivr/agent', { CallStatus: 'in-progress', Digits: '0' }],
    ['/ivr/status', {
      CallStatus: 'completed', CallbackSource: 'call-progress-events', CallDuration: '42',
      HangupCause: 'normal_clearing', HangupSource: 'callee', SequenceNumber: '3',
    }],
  ];
  let began = null;
  let broken = 0;
  let metNew = false;
  steps.forEach(([path, facts], step) => {
    if (step > 0) sleep(pause);
    const form = {
      AccountSid: '0d9bb3a2-55f1-4a51-9c3e-2b6a5f1d7c10', CallSid: id, CallSidLegacy: id,
      From: from, To: to, ConnectionId: '1684641123236054244', ApiVersion: '2010-04-01', ...facts,
    };
    const headers = { ...FORM, 'X-Request-Key': `${id}-${step}` };
    const answer = http.post(`${BASE}${path}?lang=en`, form, { headers, tags: { name: path } });
    const backend = answer.headers['X-Backend'];
    // The menu's own element: an error page or half a document has none.
    const well = answer.status === 200 && String(answer.body).includes('</Gather>');
    if (!well) broken += 1;
    if (backend === 'new') metNew = true;
    if (began === null && backend) {
      began = backend;
      onNew.add(backend === 'new');
    } else if (backend && backend !== began) {
      affinityBreaks.add(1);
    }
  });
  calls.add(1);
  return { began, broken, metNew };
}

// What the admin listener says.
export function status() {
  const answer = http.get(`${ADMIN}/api/v1/status`, { tags: { name: 'status' } });
  check(answer, { 'the status is there': (a) => a.status === 200 });
  return answer.status === 200 ? answer.json() : {};
}

// Sum of a metric over its labels (those that contain `label`); null if it is not exported.
export function metric(name, label = '') {
  const text = String(http.get(`${ADMIN}/metrics`, { tags: { name: 'metrics' } }).body);
  const lines = text.split('\n').filter((line) => {
    const rest = line.startsWith(name) ? line.charAt(name.length) : '';
    return (rest === ' ' || rest === '{') && line.includes(label);
  });
  return lines.length === 0 ? null : lines.reduce((sum, line) => sum + Number(line.split(' ').pop()), 0);
}

// Sample backend `new`: makes it fail, or counts what it saw.
export function backendNew(method, path, body = null) {
  const answer = http.request(method, `${BACKEND_NEW}${path}`, body && JSON.stringify(body), { tags: { name: path } });
  check(answer, { 'the sample backend obeys': (a) => a.status === 200 });
  return answer.status === 200 ? answer.json() : {};
}
