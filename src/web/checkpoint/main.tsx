// The checkpoint app: starts what is on the screen.
import { render } from "preact";

const root = document.getElementById("app");
if (root !== null) render(<h1>Kiểm tra thẻ công vụ</h1>, root);
