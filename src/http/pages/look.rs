//! How every page looks: one style in two palettes, no file to load, no font to fetch.
//!
//! Contrast meets WCAG 2.2 AA in both palettes; a test computes it.

/// A seal, as the icon of the window.
pub const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Ccircle \
                        cx='16' cy='16' r='12' fill='none' stroke='%234a6fdc' stroke-width='4'/%3E%3Ccircle cx='16' \
                        cy='16' r='4' fill='%234a6fdc'/%3E%3C/svg%3E";

/// The same seal at the head of each page.
pub const MARK: &str = "<svg class=\"mark\" width=\"32\" height=\"32\" viewBox=\"0 0 32 32\" aria-hidden=\"true\">\
                        <circle cx=\"16\" cy=\"16\" r=\"13\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"3\"/>\
                        <circle cx=\"16\" cy=\"16\" r=\"4.5\" fill=\"currentColor\"/></svg>";

/// The style of every page.
pub const STYLE: &str = "
:root{color-scheme:light dark;--page:#f3f4f7;--card:#ffffff;--well:#f3f4f7;--ink:#191c22;--soft:#555d6b;--line:#dde1e8;\
--edge:#838c9b;--accent:#2b52c8;--hover:#2142a6;--on:#ffffff;--bad:#b3261e;--badwell:#fdf0ef;--good:#17663a;--goodwell:#edf7f0}
@media(prefers-color-scheme:dark){:root{--page:#0e1014;--card:#171a1f;--well:#0e1014;--ink:#e8eaee;--soft:#a4adba;\
--line:#2a2f37;--edge:#717b8a;--accent:#9db5ff;--hover:#bccdff;--on:#10131a;--bad:#ffb4ab;--badwell:#2c1917;--good:#8fd6a9;--goodwell:#14251a}}
*,::before,::after{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;min-height:100vh;display:flex;flex-direction:column;align-items:center;padding:clamp(1rem,9vh,6rem) 1rem 2rem;\
background:var(--page);color:var(--ink);font:1rem/1.55 system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",Arial,sans-serif}
main{width:100%;max-width:27rem;padding:clamp(1.25rem,6vw,2.25rem);background:var(--card);border:1px solid var(--line);border-radius:16px;\
box-shadow:0 1px 2px rgb(0 0 0/.04),0 12px 32px rgb(0 0 0/.05)}
main.wide{max-width:62rem}
.mark{display:block;margin:0 0 1.25rem;color:var(--accent)}
h1{margin:0 0 .5rem;font-size:1.5rem;line-height:1.25;font-weight:650;letter-spacing:-.015em;text-wrap:balance;overflow-wrap:anywhere}
h2{margin:2rem 0 .5rem;font-size:1.0625rem;line-height:1.35;font-weight:600}
p,dl,pre,ul,form{margin:0 0 1rem}
main>:last-child,form>:last-child,details>:last-child{margin-bottom:0}
.lead{color:var(--soft);margin-bottom:1.5rem;text-wrap:pretty;overflow-wrap:anywhere}
.note{color:var(--soft);font-size:.875rem}
a{color:var(--accent);text-underline-offset:.2em;overflow-wrap:anywhere}
a:hover{color:var(--hover)}
code,pre,.code{font:.875em/1.55 ui-monospace,\"SF Mono\",SFMono-Regular,Menlo,Consolas,\"Liberation Mono\",monospace;overflow-wrap:anywhere}
p code,li code{padding:.1em .35em;border-radius:5px;background:var(--well)}
pre{padding:.875rem 1rem;border:1px solid var(--line);border-radius:10px;background:var(--well);white-space:pre-wrap}
.token{word-break:break-all;user-select:all}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:0 1.5rem}
.pair>*{min-width:0}
.facts>div{padding:.75rem 0;border-top:1px solid var(--line)}
.facts>div:last-child{border-bottom:1px solid var(--line)}
dt{color:var(--soft);font-size:.8125rem}
dd{margin:.125rem 0 0;overflow-wrap:anywhere}
details{margin:0 0 1rem;padding-top:.25rem;font-size:.875rem;color:var(--soft)}
summary{display:inline-block;padding:.25rem 0;cursor:pointer;border-radius:6px}
summary::before{content:\"\";display:inline-block;width:.4em;height:.4em;margin:0 .6em .15em .1em;border:solid currentColor;border-width:0 1.5px 1.5px 0;transform:rotate(-45deg)}
details[open]>summary::before{transform:rotate(45deg)}
details>p{margin:.5rem 0 0}
label{display:block;margin:0 0 .375rem;font-weight:550;font-size:.9375rem}
input[type=email],input[type=password],input[type=text]{width:100%;min-height:2.875rem;margin:0 0 1rem;padding:.5rem .75rem;\
border:1px solid var(--edge);border-radius:10px;background:var(--card);color:var(--ink);font:inherit}
input.usercode{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:1.25rem;letter-spacing:.12em}
input[aria-invalid=true]{border-color:var(--bad)}
fieldset{margin:0 0 1.25rem;padding:0;border:0}
legend{padding:0;margin:0 0 .25rem;font-weight:550}
.choice{display:grid;grid-template-columns:1.25rem 1fr;gap:0 .75rem;align-items:start;margin:0;padding:.75rem 0;font-weight:400;cursor:pointer}
fieldset .choice{border-top:1px solid var(--line)}
fieldset .choice:last-child{border-bottom:1px solid var(--line)}
.choice input{width:1.125rem;height:1.125rem;margin:.25rem 0 0;accent-color:var(--accent)}
.choice small{display:block;color:var(--soft);font-size:.875rem;line-height:1.45}
.choice+.actions{margin-top:.5rem}
.actions{display:flex;flex-wrap:wrap;gap:.75rem}
.actions form{margin:0;display:contents}
button,.button{flex:1 1 5rem;display:inline-block;min-height:2.875rem;padding:.625rem .875rem;white-space:nowrap;border:1px solid var(--accent);border-radius:10px;\
background:var(--accent);color:var(--on);font:inherit;font-weight:600;line-height:1.5;text-align:center;text-decoration:none;cursor:pointer}
.button{width:100%}
button:hover,.button:hover{background:var(--hover);border-color:var(--hover);color:var(--on)}
form>button{width:100%}
button.second{background:transparent;border-color:var(--edge);color:var(--ink)}
button.second:hover{background:var(--well);border-color:var(--ink);color:var(--ink)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.alert,.done{margin:0 0 1.25rem;padding:.75rem 1rem;border-radius:10px;overflow-wrap:anywhere}
h1+.alert,h1+.done{margin-top:1rem}
.alert{background:var(--badwell);color:var(--bad)}
.done{background:var(--goodwell);color:var(--good)}
.state{display:inline-block;padding:0 .6em;border-radius:99px;font-size:.8125rem;font-weight:600;line-height:1.7;vertical-align:.1em}
.state.on{background:var(--goodwell);color:var(--good)}
.state.off{background:var(--badwell);color:var(--bad)}
footer{margin:1.5rem 0 0;color:var(--soft);font-size:.8125rem;text-align:center;text-wrap:balance}
@media(forced-colors:active){button,.button,main{border-color:currentColor}}
@media print{body{background:none;padding:0}main{border:0;box-shadow:none}}
";
