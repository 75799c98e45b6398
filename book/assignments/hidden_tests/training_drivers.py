"""Drivers of assignment 4: each runs where the student's code is, so its imports are inside it."""


def level_run(mine, x, weights, push):
    """Gradients of sum(push * u_net), and whether the caller's tensors stayed as they were."""
    import torch

    given = {"x": x.clone()} | {name: weight.clone() for name, weight in weights.items()}
    mine.u_net(x, weights)
    after = {"x": x} | weights
    unchanged = all(name in after and torch.equal(given[name], after[name]) for name in given)
    leaves = {name: tensor.requires_grad_() for name, tensor in given.items()}
    out = mine.u_net(leaves.pop("x"), leaves)
    gradients = {}
    if torch.is_tensor(out) and out.requires_grad:
        (out * push).sum().backward()
        found = {name: leaf.grad for name, leaf in leaves.items()}
        gradients = {name: grad for name, grad in found.items() if grad is not None}
    return {"unchanged": unchanged, "gradients": gradients}


def l1_run(mine, prediction, target, mask):
    """The gradient of masked_l1, and whether the caller's tensors stayed as they were."""
    import torch

    given = [x.clone() for x in (prediction, target, mask)]
    mine.masked_l1(*given)
    pairs = zip(given, (prediction, target, mask), strict=True)
    unchanged = all(torch.equal(x.nan_to_num(9.0), y.nan_to_num(9.0)) for x, y in pairs)
    leaf = prediction.clone().requires_grad_()
    loss = mine.masked_l1(leaf, target.clone(), mask.clone())
    if not torch.is_tensor(loss) or not loss.requires_grad:
        return {"unchanged": unchanged, "gradient": None}
    loss.backward()
    return {"unchanged": unchanged, "gradient": leaf.grad}


def ms_ssim_run(mine, prediction, target):
    """The gradient of ms_ssim_loss."""
    import torch

    leaf = prediction.clone().requires_grad_()
    loss = mine.ms_ssim_loss(leaf, target.clone())
    if not torch.is_tensor(loss) or not loss.requires_grad:
        return {"gradient": None}
    loss.backward()
    return {"gradient": leaf.grad}


def step_run(mine, seed):
    """Four steps of a small net: losses, weights after the first and the last step."""
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1)).double()
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator, dtype=weight.dtype) * 0.5)
    adam = torch.optim.Adam(net.parameters(), lr=0.02)
    for weight in net.parameters():  # as a look at the check pictures may have left them
        weight.grad = torch.full_like(weight, -3.0)
    masks = []

    def loss_of(prediction, target, mask=None):
        masks.append(mask is not None)
        mask = torch.ones_like(target, dtype=torch.bool) if mask is None else mask
        known = torch.where(mask, target, prediction.detach())
        return (prediction - known).abs().sum() / mask.sum()

    def weights():
        return torch.cat([weight.detach().flatten() for weight in net.parameters()])

    losses, graph, first = [], False, None
    for _ in range(4):
        image, error = (torch.rand(2, c, 6, 6, generator=generator).double() for c in (3, 1))
        mask = torch.rand(2, 1, 6, 6, generator=generator) < 0.7
        error[~mask] = 9.0
        value = mine.train_step(net, adam, {"image": image, "error": error, "mask": mask}, loss_of)
        if value is None:
            return None
        graph = graph or (torch.is_tensor(value) and value.requires_grad)
        losses.append(float(torch.as_tensor(value).detach()))
        first = weights() if first is None else first
    return {
        "losses": losses,
        "graph": graph,
        "masked": all(masks),
        "first": first,
        "last": weights(),
    }


def freeze_run(mine, stages):
    """After each stage: whose gradient is asked for, what came back, who is in training mode."""
    from torch import nn

    def part():
        inner = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
        return nn.Sequential(nn.Conv2d(1, 2, 3), inner, nn.Dropout(0.5))

    names = ("depth", "depth_branch", "adcn", "adcn_branch", "render")
    net = nn.ModuleDict({name: part() for name in names})
    net.eval()
    report = []
    for frozen in stages:
        returned = mine.freeze(net, list(frozen))
        if returned is None:
            return None
        name_of = {id(weight): name for name, weight in net.named_parameters()}
        report.append(
            {
                "returned": sorted(name_of.get(id(weight), "?") for weight in returned),
                "gradients": [n for n, weight in net.named_parameters() if weight.requires_grad],
                "modes": {n: m.training for n, m in net.named_modules() if n and "." in n},
            }
        )
    return report


def resume_run(mine, part, other):
    """Train, save, go on; restore into a new run; what it holds, and where it ends.

    `other` is the text of the reference's other half: that of `part` stays out of reach.
    """
    import copy

    import torch
    from torch import nn

    pictures = torch.rand(10, 1, 6, 6, generator=torch.Generator().manual_seed(3)).double()

    class Run:
        def __init__(self, seed):
            self.net = nn.Sequential(
                nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 1, 1)
            ).double()
            generator = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                for weight in self.net.parameters():
                    weight.copy_(torch.randn(weight.shape, generator=generator))
            self.adam = torch.optim.Adam(self.net.parameters(), lr=0.01)
            self.shuffler = torch.Generator().manual_seed(seed)
            self.order, self.place = [], 0

        def steps(self, count):
            for _ in range(count):
                if self.place == len(self.order):
                    self.order = torch.randperm(10, generator=self.shuffler).tolist()
                    self.place = 0
                    for group in self.adam.param_groups:
                        group["lr"] *= 0.9
                taken = list(self.order[self.place : self.place + 3])
                self.place += len(taken)
                noise = 0.1 * torch.rand(len(taken), 1, 6, 6)  # the global generator
                loss = (self.net(pictures[taken] + noise) - pictures[taken]).abs().mean()
                self.adam.zero_grad()
                loss.backward()
                self.adam.step()

    def tensors(run):
        return [tensor.clone() for tensor in run.net.state_dict().values()]

    def same(a, b):
        if torch.is_tensor(a):
            return torch.equal(a, b)
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
        if isinstance(a, (list, tuple)):
            return len(a) == len(b) and all(same(*pair) for pair in zip(a, b, strict=True))
        return a == b

    names = {"deepcopy": copy.deepcopy, "torch": torch}
    exec(other, names)
    keep = mine.save_state if part == "save_state" else names["save_state"]
    back = mine.restore_state if part == "restore_state" else names["restore_state"]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        whole = Run(1)
        whole.steps(6)
        state = keep(whole)
        if state is None:
            return None
        needed = ("net", "adam", "shuffler", "torch", "order", "place")
        missing = [key for key in needed if not isinstance(state, dict) or key not in state]
        if missing:
            return {"missing": missing}
        whole.order.reverse()  # a saved order that is this list goes along
        whole.steps(5)
        torch.manual_seed(99)
        new = Run(2)
        new.steps(2)
        before = copy.deepcopy(state) if part == "restore_state" else None
        new = back(new, state)
        if new is None:
            return None
        adam = new.adam.state_dict()
        entries = [adam["state"][index] for index in sorted(adam["state"])]
        found = {
            "undisturbed": tensors(whole),
            "weights": tensors(new),
            "moments": [entry[key].clone() for entry in entries for key in sorted(entry)],
            "rate": [group["lr"] for group in adam["param_groups"]],
            "shuffler": [new.shuffler.get_state()],
            "random": [torch.get_rng_state()],
            "order": list(new.order),
            "place": [new.place],
        }
        new.steps(5)
        survives = before is None or same(before, state)
        return found | {"end": tensors(new), "survives": [float(survives)]}
