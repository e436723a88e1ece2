package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	requests "github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// screenshots names the directory that gets a picture of every page that the
// browser test looks at.
const screenshots = "VERDICT_SCREENSHOTS"

// browser is a real Chromium with one tab. What its pages complain about and
// ask for is collected.
type browser struct {
	ctx context.Context

	mu       sync.Mutex
	problems []string
	requests []string
}

// startBrowser starts headless Chromium, or skips the test without one.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		if os.Getenv("CI") == "true" || os.Getenv("VERDICT_REQUIRE") != "" {
			t.Fatal("no Chromium: install the package chromium, as make deps does")
		}
		t.Skip("no Chromium: install the package chromium, as make deps does")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.DisableGPU)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // the sandbox refuses root
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	b := &browser{ctx: ctx}
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	// Without it a page in the background has no focus to give.
	focused := chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		return err
	})
	if err := chromedp.Do(ctx, focused); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		b.problems = append(b.problems, fmt.Sprintf("%s: %s", e.Entry.Level, e.Entry.Text))
	case *runtime.EventConsoleAPICalled:
		b.problems = append(b.problems, fmt.Sprintf("console.%s", e.Type))
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, "exception: "+e.ExceptionDetails.Text)
	case *requests.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	}
}

// heard returns what was collected since the last call.
func (b *browser) heard() (problems, requests []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	problems, requests = b.problems, b.requests
	b.problems, b.requests = nil, nil
	return problems, requests
}

// do runs actions and ends the test when one fails or hangs.
func (b *browser) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// evaluate runs a script in the page.
func evaluate[T any](t *testing.T, b *browser, script string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script))
	if err != nil {
		t.Fatalf("%s: %v", script[:min(60, len(script))], err)
	}
	return v
}

// look opens a page as wide as a phone, a tablet or a desktop, in a theme.
func (b *browser) look(t *testing.T, address string, width int64, theme string) {
	t.Helper()
	b.heard()
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}}
	b.do(t, chromedp.EmulateViewport(width, 900),
		chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, media)
			return err
		}),
		chromedp.Navigate(address))
}

// fileOf writes the page of a run to a file and gives its address.
func fileOf(t *testing.T, name string, r *Run) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".html")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(HTML(f, r), f.Close()); err != nil {
		t.Fatal(err)
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// audit lists what is wrong with the layout of the page: overflow, text that
// is clipped, too small or on top of other text.
const audit = `(() => {
  const wrong = [];
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth) {
    const widest = [...document.querySelectorAll("body *")].filter((e) => !e.closest(".scroll, .skip"))
      .filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5).map((e) => e.tagName + "." + e.className);
    wrong.push("the page is " + root.scrollWidth + " wide in a window of " + innerWidth + ": " + widest.slice(0, 5));
  }
  const shown = (e) => e.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true });
  const name = (e) => e.tagName + "." + e.className + " " + JSON.stringify(e.textContent.slice(0, 60));
  for (const e of document.querySelectorAll("body *")) {
    if (e.closest("svg, script, .skip") || !shown(e)) continue;
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own) continue;
    const style = getComputedStyle(e);
    if (parseFloat(style.fontSize) < 11) wrong.push("small text: " + name(e));
    if (style.overflowX !== "visible" && e.scrollWidth > e.clientWidth + 1 && !e.closest("caption")) wrong.push("clipped: " + name(e));
    const box = e.getBoundingClientRect();
    if (!e.closest(".scroll") && box.width > 0 && (box.right > innerWidth + 1 || box.left < -1)) wrong.push("outside: " + name(e));
  }
  const apart = (elements, what) => {
    const boxes = elements.filter(shown).map((e) => [e, e.getBoundingClientRect()]);
    for (let i = 0; i < boxes.length; i++)
      for (let j = i + 1; j < boxes.length; j++) {
        const [a, b] = [boxes[i][1], boxes[j][1]];
        if (a.left < b.right - 0.5 && b.left < a.right - 0.5 && a.top < b.bottom - 3 && b.top < a.bottom - 3)
          wrong.push(what + " overlap: " + name(boxes[i][0]) + " and " + name(boxes[j][0]));
      }
  };
  for (const axis of document.querySelectorAll(".chart > .x, .chart > .y")) {
    const labels = [...axis.querySelectorAll("span")];
    if (labels.filter(shown).length < 2) wrong.push("an axis with fewer than two labels in " + axis.closest("figure").id);
    apart(labels, "labels of " + axis.closest("figure").id);
  }
  for (const plot of document.querySelectorAll(".chart.lanes .plot")) apart([...plot.querySelectorAll(".lane span")], "lanes");
  for (const svg of document.querySelectorAll(".plot svg"))
    if (svg.getBoundingClientRect().width < 200) wrong.push("a plot of no width");
  return wrong;
})()`

// view is a width of the window and a theme.
type view struct {
	width int64
	theme string
}

func TestHTML_browser(t *testing.T) {
	b := startBrowser(t)
	all := []view{{360, "light"}, {360, "dark"}, {820, "light"}, {820, "dark"}, {1440, "light"}, {1440, "dark"}}
	for name, run := range cases() {
		visit(t, b, name, run, all)
	}
	for name, run := range htmlCases(t) {
		if name == "realistic" {
			visit(t, b, name, run, all)
			continue
		}
		visit(t, b, name, run, []view{{360, "light"}, {1440, "dark"}})
	}
}

// visit looks at the page of a run: at its layout, at what it asks for and at
// what the browser has to say about it.
func visit(t *testing.T, b *browser, name string, run *Run, views []view) {
	t.Helper()
	address := fileOf(t, name, run)
	for _, v := range views {
		b.look(t, address, v.width, v.theme)
		at := fmt.Sprintf("%s-%d-%s", name, v.width, v.theme)
		if got, want := evaluate[string](t, b, "getComputedStyle(document.body).backgroundColor"), map[string]string{"light": "rgb(255, 255, 255)", "dark": "rgb(16, 21, 27)"}[v.theme]; got != want {
			t.Errorf("%s: the background is %s, want %s", at, got, want)
		}
		if shots := os.Getenv(screenshots); shots != "" {
			shoot(t, b, filepath.Join(shots, at+".png"))
		}
		evaluate[bool](t, b, `(document.querySelectorAll("details").forEach((d) => { d.open = true; }), true)`)
		for _, wrong := range evaluate[[]string](t, b, audit) {
			t.Errorf("%s: %s", at, wrong)
		}
		problems, requests := b.heard()
		if len(problems) > 0 {
			t.Errorf("%s: %q", at, problems)
		}
		for _, r := range requests {
			if r != address && !strings.HasPrefix(r, "data:") {
				t.Errorf("%s: the page asked for %s", at, r)
			}
		}
		if !slices.Contains(requests, address) {
			t.Errorf("%s: the request of the page itself was not seen: %q", at, requests)
		}
	}
}

// shoot takes a picture of the whole page.
func shoot(t *testing.T, b *browser, path string) {
	t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// What a screen reader is told: landmarks, headings in order, and a name for
// everything that is not text.
func TestHTML_accessibility(t *testing.T) {
	b := startBrowser(t)
	runs := cases()
	for _, name := range []string{"improves", "unpaired", "proofs", "empty"} {
		b.look(t, fileOf(t, name, runs[name]), 1440, "light")
		tree, err := chromedp.Run(b.ctx, func(ctx context.Context, target *chromedp.Target) (accessibility.GetFullAXTreeResult, error) {
			return cdp.Call(ctx, target, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
		})
		if err != nil {
			t.Fatal(err)
		}
		count := make(map[string]int)
		for _, n := range tree.Nodes {
			if n.Ignored {
				continue
			}
			role := spoken(n.Role)
			count[role]++
			switch role {
			case "image", "table", "slider", "heading", "region", "navigation", "figure", "link", "columnheader", "rowheader":
				if strings.TrimSpace(spoken(n.Name)) == "" {
					t.Errorf("%s: a %s without a name", name, role)
				}
			}
			if role == "image" && spoken(n.Description) == "" {
				t.Errorf("%s: picture %q without a description", name, spoken(n.Name))
			}
		}
		// Chromium's tree leaves the words of a slider's value empty, whatever
		// they are.
		for _, words := range evaluate[[]string](t, b, `[...document.querySelectorAll("[role=slider]")].map((e) => e.getAttribute("aria-valuetext"))`) {
			if !strings.Contains(words, " ") {
				t.Errorf("%s: a slider whose value is %q", name, words)
			}
		}
		for _, role := range []string{"banner", "navigation", "main", "contentinfo", "table"} {
			if count[role] == 0 {
				t.Errorf("%s: nothing with the role %s among %v", name, role, count)
			}
		}
		if name != "empty" && (count["image"] < 4 || count["slider"] != count["image"]) {
			t.Errorf("%s: %d pictures and %d sliders", name, count["image"], count["slider"])
		}
	}
}

// spoken is a text of the accessibility tree.
func spoken(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	var s string
	if err := json.Unmarshal([]byte(v.Value), &s); err != nil {
		return string(v.Value)
	}
	return s
}

// The values of a picture can be read by keyboard, by pointer, and without the
// script.
func TestHTML_reading(t *testing.T) {
	b := startBrowser(t)
	address := fileOf(t, "improves", made(200, nil))
	b.look(t, address, 820, "light")
	readout := func() string {
		return evaluate[string](t, b, `document.querySelector("#ratios .readout").textContent`)
	}
	idle := readout()
	b.do(t, chromedp.Focus("#ratios .cursor"))
	if got := readout(); !strings.HasPrefix(got, "block 100: baseline") {
		t.Errorf("on focus the line reads %q", got)
	}
	b.do(t, chromedp.KeyEvent(kb.ArrowRight))
	if got := readout(); !strings.HasPrefix(got, "block 101: baseline") || !strings.Contains(got, "ratio 0.0") {
		t.Errorf("after the right arrow the line reads %q", got)
	}
	b.do(t, chromedp.KeyEvent(kb.End))
	if got := readout(); !strings.HasPrefix(got, "block 299:") {
		t.Errorf("after End the line reads %q", got)
	}
	if got := evaluate[string](t, b, `document.activeElement.getAttribute("aria-valuetext")`); got != readout() {
		t.Errorf("a screen reader is told %q, the line reads %q", got, readout())
	}
	evaluate[bool](t, b, `(document.activeElement.blur(), true)`)
	if got := readout(); got != idle {
		t.Errorf("without focus the line reads %q", got)
	}
	at := evaluate[[]float64](t, b, `(() => { const c = document.querySelector("#ratios .cursor"); c.scrollIntoView({block: "center", behavior: "instant"});
		const r = c.getBoundingClientRect(); return [r.left + r.width / 2, r.top + r.height / 2]; })()`)
	b.do(t, chromedp.MouseEvent("mouseMoved", at[0], at[1]))
	if got := readout(); !strings.HasPrefix(got, "block 199:") && !strings.HasPrefix(got, "block 200:") {
		t.Errorf("under the pointer in the middle the line reads %q", got)
	}
	b.do(t, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}), chromedp.Navigate(address))
	if got := evaluate[string](t, b, `document.querySelector("#ratios .marks path title").textContent`); !strings.HasPrefix(got, "block 100:") {
		t.Errorf("without the script the first tooltip is %q", got)
	}
}

// On paper the page is light, and what is folded is printed but for the long
// lists.
func TestHTML_print(t *testing.T) {
	b := startBrowser(t)
	b.look(t, fileOf(t, "improves", made(200, nil)), 820, "dark")
	b.do(t, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Media: "print", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
		return err
	}))
	if got := evaluate[string](t, b, "getComputedStyle(document.body).backgroundColor"); got != "rgb(255, 255, 255)" {
		t.Errorf("the background is %s", got)
	}
	evaluate[bool](t, b, `(dispatchEvent(new Event("beforeprint")), true)`)
	if shots := os.Getenv(screenshots); shots != "" {
		shoot(t, b, filepath.Join(shots, "improves-print.png"))
	}
	if got := evaluate[[]int](t, b, `[document.querySelectorAll("details:not(.long)").length, document.querySelectorAll("details[open]").length, document.querySelectorAll("details.long[open]").length]`); got[0] == 0 || got[1] != got[0] || got[2] != 0 {
		t.Errorf("short lists, open ones, open long ones: %v", got)
	}
	pdf, err := chromedp.Run(b.ctx, chromedp.PrintToPDF())
	if err != nil || len(pdf) < 10_000 {
		t.Errorf("printing: %d bytes, %v", len(pdf), err)
	}
	if shots := os.Getenv(screenshots); shots != "" {
		if err := os.WriteFile(filepath.Join(shots, "improves.pdf"), pdf, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
