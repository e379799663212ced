/*
 * What can go wrong, in words: a title, an advice, and for those who want to know more [term, value] pairs.
 */

/** Something to tell the person. */
export class Problem extends Error {
  constructor(title, advice, details = []) {
    super(title);
    this.title = title;
    this.advice = advice;
    this.details = details;
  }
}

// RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6.
const CALLBACK = {
  access_denied: ["The app was not given access", "Nothing was shared. You can connect whenever you like."],
  invalid_scope: ["The hospital does not offer what the app asked for", "Try again with a smaller choice."],
  unauthorized_client: ["The hospital does not know this app, or has switched it off", "Ask whoever runs the server."],
  login_required: ["You need to sign in", "Try again and sign in at your hospital."],
  temporarily_unavailable: ["The hospital's server is busy", "Please try again in a few minutes."],
  server_error: ["The hospital's server made a mistake", "Please try again in a few minutes."],
};
const UNKNOWN = ["The connection was not made", "The hospital's server answered with an error."];

/** Return the problem in an error callback. `isOurs`: its `state` is one this tab sent. */
export function fromCallback(query, isOurs) {
  const error = query.get("error") ?? "";
  const [title, advice] = Object.hasOwn(CALLBACK, error) ? CALLBACK[error] : UNKNOWN;
  if (!isOurs) {
    // Anybody can make a link to this page, and must not speak to the patient through it.
    return new Problem(UNKNOWN[0], "The answer belongs to no request of this window. Please connect again.");
  }
  const description = query.get("error_description");
  const details = described([["Error", error], ["Description", description]]);
  if (error === "invalid_request" && /^The launch\b/.test(description ?? "")) {
    const again = "Each opening counts once, for a few minutes. Go back to where you opened the app, and open it again.";
    return new Problem("This opening cannot be used any more", again, details);
  }
  return new Problem(title, advice, details);
}

/** Return the problem behind whatever was thrown. */
export function fromFailure(error) {
  if (error instanceof Problem) {
    return error;
  }
  const message = String(error?.message ?? error);
  if (error?.status) {
    return fromAnswer(error.status, message);
  }
  if (/failed to fetch|networkerror|load failed/i.test(message)) {
    const advice = "Check your connection to the internet and try again.";
    return new Problem("The hospital's server cannot be reached", advice, [["Details", message]]);
  }
  if (/sessionStorage|localStorage/.test(message)) {
    const advice = "Allow cookies and site data for this site, and load the page again.";
    return new Problem("Your browser keeps nothing for this app", advice, [["Details", message]]);
  }
  if (/state/i.test(message) && /launch/i.test(message)) {
    const advice = "It may have been started in another window, or a while ago. Please connect again.";
    return new Problem("This sign-in does not belong to this window", advice);
  }
  return new Problem("Something went wrong", "Please try again.", [["Details", message]]);
}

function fromAnswer(status, message) {
  const { outcome, oauth } = answerIn(message);
  const issue = outcome?.issue?.[0];
  const details = described([
    ["Status", String(status)],
    ["The server says", issue?.details?.text ?? oauth ?? ""],
    ["Trace", issue?.diagnostics ?? outcome?.trace_id],
  ]);
  if (status === 401) {
    return new Problem("Your access has ended", "Please connect again to go on.", details);
  }
  if (status === 403) {
    return new Problem("The hospital's server does not allow this", "What was granted does not cover it.", details);
  }
  if (status === 404) {
    return new Problem("The hospital's server did not find this", "It is not there, or not for this app.", details);
  }
  if (status === 429 || status >= 500) {
    return new Problem("The hospital's server is not answering well", "Please try again in a few minutes.", details);
  }
  return new Problem("The hospital's server refused", "Please connect again.", details);
}

// fhirclient has read the body already and keeps it only in the message: after an empty line when it was JSON, or as
// "error: description" when it was an OAuth error. For 401 it adds a line of its own.
function answerIn(message) {
  const body = message.slice(message.indexOf("\n\n") + 2, message.lastIndexOf("}") + 1);
  try {
    return { outcome: JSON.parse(body) };
  } catch {
    const [, , oauth] = message.split("\n");
    return { oauth };
  }
}

const described = (pairs) => pairs.filter(([, value]) => value);
