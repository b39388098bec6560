"""Opens the live page, or a report, in headless Chromium and checks a part of what it must do: page.py PART URL.

Asks whoever started it for changes by lines on standard output ("show next", "stop", "start"), each answered by a line.
Screenshots go to target/outside/page, for people to look at.
"""

import base64
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

SCREENSHOTS = Path(__file__).parents[2] / "target" / "outside" / "page"
SIZES = [(1280, 900), (768, 1024), (390, 844)]
BYTES_MAX = 300_000
# Taller pictures Chromium does not take.
HEIGHT_MAX = 8_000
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --no-proxy-server"
).split()
# Long enough for a machine that does much else; nothing waits longer than it must.
PATIENCE_SECONDS = 60


class Wrong(Exception):
    """The page is not what it should be."""


def expect(condition, message):
    if not condition:
        raise Wrong(message)


def ask(change):
    print(change, flush=True)
    expect(sys.stdin.readline() == "done\n", f"{change}: no answer")


# What stands on the page and overlaps, is cut off sideways, or can hardly be read. Every line of text is compared with every
# other one, as far as what surrounds it lets it show.
LAYOUT = r"""
const problems = [];
const root = document.documentElement;
if (root.scrollWidth > root.clientWidth) problems.push(`the page is ${root.scrollWidth} px wide in ${root.clientWidth}`);
const describe = (element) => `<${element.localName} class="${element.className}"> ${element.textContent.slice(0, 40)}`;

const boxes = [...document.querySelectorAll("header, section, footer, .panel")].filter((one) => one.checkVisibility());
const overlap = (a, b) =>
  Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1.5 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1.5;
boxes.forEach((a, n) => boxes.slice(n + 1).forEach((b) => {
  if (overlap(a.getBoundingClientRect(), b.getBoundingClientRect())) problems.push(`${describe(a)} overlaps ${describe(b)}`);
}));

const lines = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const element = node.parentElement;
  if (!node.data.trim() || !element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) || element.closest(".visually-hidden, .skip, option, noscript")) continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  const clips = [];
  for (let up = element; up && up !== root; up = up.parentElement) {
    if (getComputedStyle(up).overflowX !== "visible") clips.push(up.getBoundingClientRect());
  }
  for (const line of range.getClientRects()) {
    const rect = { left: line.left, right: line.right, top: line.top, bottom: line.bottom };
    for (const clip of clips) {
      rect.left = Math.max(rect.left, clip.left); rect.right = Math.min(rect.right, clip.right);
      rect.top = Math.max(rect.top, clip.top); rect.bottom = Math.min(rect.bottom, clip.bottom);
    }
    if (rect.right - rect.left > 1 && rect.bottom - rect.top > 1) lines.push({ ...rect, element });
  }
  const section = element.closest("section, header, footer, .panel");
  if (section) {
    const inside = section.getBoundingClientRect();
    const out = lines.findLast((one) => one.element === element && (one.right > inside.right + 0.5 || one.left < inside.left - 0.5));
    if (out) problems.push(`${describe(element)} leaves its section sideways`);
  }
}
lines.sort((a, b) => a.top - b.top);
lines.forEach((a, n) => {
  for (const b of lines.slice(n + 1)) {
    if (b.top > a.bottom) break;
    // A line of the table's head stays where it is while rows scroll behind it.
    if (a.element.closest(".scroll th") || b.element.closest(".scroll th")) continue;
    if (a.element !== b.element && overlap(a, b)) problems.push(`${describe(a.element)} overlaps ${describe(b.element)}`);
  }
});

const parse = (text) => text.match(/[\d.]+/g).map(Number);
const over = (front, back) => {
  const alpha = front[3] ?? 1;
  return [0, 1, 2].map((n) => front[n] * alpha + back[n] * (1 - alpha));
};
const luminance = (rgb) => {
  const [r, g, b] = rgb.map((value) => value / 255).map((value) => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const seen = new Set();
for (const { element } of lines) {
  if (seen.has(element)) continue;
  seen.add(element);
  const layers = [];
  for (let up = element; up; up = up.parentElement) layers.push(parse(getComputedStyle(up).backgroundColor));
  const back = layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255]);
  const [a, b] = [luminance(over(parse(getComputedStyle(element).color), back)), luminance(back)];
  const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (contrast < 4.5) problems.push(`${describe(element)} has a contrast of ${contrast.toFixed(2)}`);
}
return { lines: lines.length, problems };
"""

FOCUSABLE = """
return [...document.querySelectorAll("a[href], button, select, input, summary, [tabindex='0']")]
  .filter((one) => one.checkVisibility()).map((one, n) => { one.dataset.focusable = n; return n; });
"""

FOCUSED = """
const focused = document.activeElement;
const style = getComputedStyle(focused);
const box = focused.getBoundingClientRect();
return {
  number: focused.dataset.focusable ?? null,
  text: focused.textContent.slice(0, 40),
  outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
  inView: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
};
"""


class Browser:
    def __init__(self, part, url):
        self.part, self.url = part, url
        self.profile = tempfile.TemporaryDirectory(prefix="ghostlight-chromium-")
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in [*FLAGS, f"--user-data-dir={self.profile.name}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_script_timeout(PATIENCE_SECONDS)
        self.console, self.network = [], []
        # What the browser's own first page asks for is not of interest.
        self.driver.get("about:blank")
        self.read_logs()
        self.console, self.network = [], []
        self.resize(*SIZES[0])

    def close(self):
        self.driver.quit()
        self.profile.cleanup()

    def cdp(self, command, **arguments):
        return self.driver.execute_cdp_cmd(command, arguments)

    def resize(self, width, height):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, name):
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def open(self, path=""):
        self.driver.get(self.url + path)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def wait(self, what, condition):
        def holds(_):
            try:
                return condition()
            except Exception:  # What is looked for may not be there yet.
                return False

        WebDriverWait(self.driver, PATIENCE_SECONDS, poll_frequency=0.05).until(holds, f"waited in vain: {what}")

    def text(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector).text

    def wait_text(self, selector, part):
        self.wait(f"{selector} says {part}", lambda: part in self.text(selector))

    def settled(self):
        """Once what was changed is drawn."""
        self.driver.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)));"
        )

    def press(self, *keys):
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def screenshot(self, name):
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        size = self.run("return [innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": min(size[1], HEIGHT_MAX), "scale": 1}
        shot = self.cdp("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        (SCREENSHOTS / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))

    def read_logs(self):
        self.console += self.driver.get_log("browser")
        self.network += [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]

    def expect_quiet_console(self, allowed=()):
        self.read_logs()
        errors = [entry["message"] for entry in self.console if entry["level"] in ("SEVERE", "WARNING")]
        errors = [error for error in errors if not any(part in error for part in allowed)]
        expect(not errors, f"the console says {errors}")

    def expect_small_and_at_home(self, bytes_max=BYTES_MAX):
        self.read_logs()
        sent = [event["params"]["request"]["url"] for event in self.network if event["method"] == "Network.requestWillBeSent"]
        expect(len(sent) >= 7, f"only {sent} was asked for")
        away = [url for url in sent if not url.startswith(self.url) and not url.startswith("data:")]
        expect(not away, f"asked elsewhere: {away}")
        received = sum(event["params"]["encodedDataLength"] for event in self.network if event["method"] == "Network.loadingFinished")
        expect(50_000 < received < bytes_max, f"{received} bytes were transferred")
        return received

    def expect_layout(self):
        """Nothing overlaps, nothing leaves its place, everything can be read: in every width, dark and light."""
        count = 0
        for width, height in SIZES:
            self.resize(width, height)
            for scheme in ("light", "dark"):
                self.scheme(scheme)
                self.settled()
                self.screenshot(f"{self.part}-{width}-{scheme}")
                found = self.run(LAYOUT)
                expect(not found["problems"], f"{width} px, {scheme}: " + "\n  ".join(found["problems"][:20]))
                count += found["lines"]
        self.resize(*SIZES[0])
        self.scheme("light")
        return count


def full(browser):
    browser.open()
    browser.wait_text("#live-text", "Live, events up to 2026-11-23 14:03:20 UTC")
    browser.settled()
    received = browser.expect_small_and_at_home()
    sections = [section.text for section in browser.driver.find_elements(By.CSS_SELECTOR, "main section")]
    expected = [
        ["November 2026 so far", "18,342 users", "between 17,479 and 19,241", "of the quota of 25,000", "Lasts the month",
         "1,284,310 billable tokens", "471,910 avoidable", "Runs out on 2026-11-27", "148 active", "31 used", "quota.enterprise_connections"],
        ["Active users by day", "UTC", "2026-11-23", "users"],
        ["M2M token rate", "tokens issued", "needed", "avoidable"],
        ["Ghosts: 4 clients, 471,893 avoidable tokens this month", "invoice-worker", "does not cache", "was caching until 2026-11-23 02:15 UTC", "high confidence", "261,252", "> 99.9 %", "23 %",
         "Verdicts wait"],
        ["Alerts: 2 firing", "Held back: partition", "stopped caching its token", "since 2026-11-23 02:15 UTC", "Resolved", "Show all 7 resolved alerts"],
        ["Audit: 2 required", "northwind-prod.eu.auth0.com", "7 recommended", "application Portal", "application Billing"],
        ["Rate limits", "api_limit", "1,204", "Attack protection", "limit_wc", "Failed logins by connection", "acme-saml", "41 %"],
        ["Ingest", "57,912,334", "2 behind, by up to 20 min", "412", "118,220", "2.3 h", "caught up", "Show all 14 partitions"],
    ]  # fmt: skip
    expect(len(sections) == len(expected), f"{len(sections)} sections")
    for text, parts in zip(sections, expected):
        for part in parts:
            expect(part in text, f"{part!r} is not in {text!r}")
    expect(browser.driver.title == "(2) northwind-prod – ghostlight", browser.driver.title)
    lines = browser.expect_layout()
    # The same with everything open.
    browser.part = "full-open"
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; });")
    lines += browser.expect_layout()
    # Another tenant, by the picker; and straight from the address.
    browser.part = "full-second"
    select = browser.driver.find_element(By.ID, "tenant-select")
    webdriver.support.ui.Select(select).select_by_visible_text("northwind-staging")
    browser.wait_text("#ghosts", "No ghosts. 37 clients with 1,391,220 M2M tokens since 2026-11-01 14:03 UTC were looked at; at least")
    expect("could have been avoided, by fleets behind one address" in browser.text("#ghosts"), browser.text("#ghosts"))
    expect("No quota set: add quota.mau" in browser.text("#month"), browser.text("#month"))
    expect(browser.driver.current_url.endswith("?tenant=northwind-staging"), browser.driver.current_url)
    lines += browser.expect_layout()
    browser.open("?tenant=northwind-staging")
    browser.wait_text("#ghosts", "No ghosts.")
    browser.expect_quiet_console()
    browser.open("?tenant=nobody")
    browser.wait_text("#notices", "No events of the tenant nobody came so far")
    browser.wait_text("#ghosts", "Ghosts: 4 clients")
    browser.expect_quiet_console(allowed=["404"])
    return f"{received} bytes transferred, {lines} lines of text"


def empty(browser):
    browser.open()
    browser.wait_text("#notices", "No data yet")
    text = browser.text("#notices")
    for part in [browser.url + "v1/logs", "ghostlight simulate --events 100000 --days 3 --post", "ghostlight run --kafka"]:
        expect(part in text, f"{part!r} is not in {text!r}")
    expect("none read yet" in browser.text("#ingest"), browser.text("#ingest"))
    expect(not browser.driver.find_element(By.ID, "month").is_displayed(), "a month without data is shown")
    lines = browser.expect_layout()
    ask("show full")
    browser.wait_text("#ghosts", "Ghosts: 4 clients")
    expect("No data yet" not in browser.text("main"), "it still says that there is no data")
    browser.expect_quiet_console()
    browser.expect_small_and_at_home()
    return f"{lines} lines of text"


def quiet(browser):
    browser.open()
    browser.wait_text("#ghosts", "No ghosts. 12 clients with 34,567 M2M tokens")
    expected = {
        "#month": "quota.m2m_tokens", "#users": "No active users yet", "#tokens": "auth.token_exchange.success",
        "#alerts": "Nothing fires.", "#activity": "No rate limit was hit", "#tenant": "new",
    }  # fmt: skip
    for selector, part in expected.items():
        expect(part in browser.text(selector), f"{part!r} is not in {browser.text(selector)!r}")
    expect(not browser.driver.find_elements(By.CSS_SELECTOR, "canvas"), "an empty chart is drawn")
    lines = browser.expect_layout()
    browser.expect_quiet_console()
    return f"{lines} lines of text"


def hostile(browser):
    browser.open()
    browser.wait_text("#ghosts", "Ghosts: 40 clients")
    browser.driver.find_element(By.CSS_SELECTOR, "[data-more=ghosts]").click()
    browser.wait("all ghosts are there", lambda: len(browser.driver.find_elements(By.CSS_SELECTOR, ".ghost")) == 40)
    lines = browser.expect_layout()
    browser.part = "hostile-open"
    browser.run("document.querySelectorAll('.ghost:nth-child(-n+4), .alert, .foot details').forEach((one) => { one.open = true; });")
    lines += browser.expect_layout()
    expect(browser.driver.title.startswith("(2) <img src=x"), f"the title is {browser.driver.title}")
    expect("\\u{202e}exe.gpj\\u{200b}" in browser.text("#ghosts"), "characters that nobody sees are not shown as escapes")
    made = browser.run("return document.querySelectorAll('main img, main script, main [onerror]').length")
    expect(made == 0, f"{made} elements were made of data")
    browser.expect_quiet_console()
    # Most of it is the names.
    browser.expect_small_and_at_home(bytes_max=2 * BYTES_MAX)
    return f"{lines} lines of text"


def keyboard(browser):
    browser.open()
    browser.wait_text("#ghosts", "Ghosts: 4 clients")
    # Every control can be reached, and shows that it was.
    missing = {str(number) for number in browser.run(FOCUSABLE)}
    total = len(missing)
    for _ in range(total + 1):
        browser.press(Keys.TAB)
        focused = browser.run(FOCUSED)
        if focused["number"] is not None:
            expect(focused["outline"] >= 2 and focused["inView"], f"the focus cannot be seen on {focused}")
            missing.discard(focused["number"])
    expect(not missing, f"of {total} controls, {len(missing)} cannot be reached: {missing}")

    second = "#ghosts .ghost[data-key='3f9a11c0de77aa02']"
    browser.run("document.querySelector(arguments[0]).focus()", f"{second} summary")
    browser.press(Keys.ENTER)
    browser.wait_text(second, "148 organizations and scope sets")
    for part in ["158,308 tokens, 99 % of those issued", "Cached until", "python-requests/2.31.0", "Look at what was released"]:
        expect(part in browser.text(second), f"{part!r} is not in {browser.text(second)!r}")
    browser.screenshot("keyboard-open")

    # What changes is changed; the open row stays open and keeps the focus, wherever it moves.
    browser.run("window.thisPage = true")
    ask("show next")
    browser.wait_text("#month", "19,001 users")
    browser.wait_text("#ghosts .ghost:nth-of-type(1)", "300,000")
    first = browser.driver.find_element(By.CSS_SELECTOR, "#ghosts .ghost")
    expect(first.get_attribute("data-key") == "3f9a11c0de77aa02", "the order of the ghosts is the old one")
    expect(first.get_attribute("open") is not None, "the open row was closed")
    kept = browser.run("return document.activeElement === document.querySelector(arguments[0])", f"{second} summary")
    expect(kept, "the focus was lost")
    expect(browser.run("return window.thisPage") is True, "the page was loaded again")
    browser.press(Keys.ENTER)
    browser.wait("the row closes by Enter", lambda: first.get_attribute("open") is None)
    browser.expect_quiet_console()
    return f"{total} controls"


def connection(browser):
    browser.open()
    browser.wait_text("#live-text", "Live,")
    ask("stop")
    browser.wait_text("#live-text", "Connection lost at ")
    expect("shown are events up to 2026-11-23 14:03:20 UTC" in browser.text("#live-text"), browser.text("#live-text"))
    expect("18,342 users" in browser.text("#month"), "the numbers are gone")
    browser.screenshot("connection-lost")
    ask("show next")
    ask("start")
    browser.wait_text("#month", "19,001 users")
    browser.wait_text("#live-text", "Live,")
    browser.expect_quiet_console(allowed=["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET"])
    return "lost and found"


def login(browser):
    browser.open()
    expect("log in" in browser.driver.title, browser.driver.title)
    browser.wait("the field has the focus", lambda: browser.run("return document.activeElement.id") == "token")
    lines = browser.expect_layout()
    browser.press("open barley", Keys.ENTER)
    browser.wait_text("[role=alert]", "That is not the token.")
    browser.screenshot("login-wrong")
    browser.press("open sesame", Keys.ENTER)
    browser.wait_text("#live-text", "Live,")
    expect("18,342 users" in browser.text("#month"), "the numbers are not there")
    expect(browser.run("return document.cookie") == "", "scripts can read the cookie")
    browser.expect_quiet_console(allowed=["401"])
    return f"{lines} lines of text"


def report(browser):
    """A report's file: it asks for nothing, and is printed, where charts are readable without their background too."""
    browser.open()
    lines = browser.expect_layout()
    expect(lines > 600, f"{lines} lines of text")
    charts = browser.run("return [...document.querySelectorAll('svg')].map((one) => one.querySelectorAll('rect').length)")
    expect(len(charts) == 3 and min(charts) >= 28, f"{charts} bars")
    browser.expect_quiet_console()
    sent = [event["params"]["request"]["url"] for event in browser.network if event["method"] == "Network.requestWillBeSent"]
    expect(sent == [browser.url], f"asked for {sent}")
    browser.cdp("Emulation.setEmulatedMedia", features=[])
    browser.cdp("Emulation.clearDeviceMetricsOverride")
    pdf = base64.b64decode(browser.cdp("Page.printToPDF", preferCSSPageSize=True, printBackground=False)["data"])
    (SCREENSHOTS / "report.pdf").write_bytes(pdf)
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
    expect(2 <= pages <= 8, f"{pages} pages of PDF")
    return f"{lines} lines of text, {pages} pages of PDF"


def main():
    part, url = sys.argv[1:3]
    browser = Browser(part, url)
    try:
        checked = {"full": full, "empty": empty, "quiet": quiet, "hostile": hostile, "keyboard": keyboard,
                   "connection": connection, "login": login, "report": report}[part](browser)  # fmt: skip
        print(f"checked: {checked}")
    except Exception as error:
        browser.screenshot(f"{part}-wrong")
        sys.exit(f"page.py {part}: {error}")
    finally:
        browser.close()


main()
