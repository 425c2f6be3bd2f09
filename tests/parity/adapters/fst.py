"""FST against the goldens: trajectories of a linear classifier under the look-ahead that training uses."""
import torch
import torch.nn.functional as F

from mmseg_weak.methods.semi.fst import LookAhead
from mmseg_weak.models.teachers.ema import EMATeacher


def _trajectory(arrays, settings, mode):
    """Student, teacher, passes and last pseudo labels after every outer iteration."""
    a, lr, momentum = arrays, float(arrays['lr']), float(arrays['momentum'])
    student = torch.nn.Linear(a['W0'].shape[1], a['W0'].shape[0]).to(a['W0'])
    with torch.no_grad():
        student.weight.copy_(a['W0'])
        student.bias.copy_(a['b0'])
    teacher = EMATeacher(student, momentum=1 - float(a['alpha']), warmup='inverse', buffers='leave')
    optimizer = torch.optim.SGD(student.parameters(), lr=lr, momentum=momentum)

    def step(batch):
        x, y, unlabelled = batch
        pseudo = teacher(unlabelled).argmax(1)
        loss = F.cross_entropy(student(x), y) + F.cross_entropy(student(unlabelled), pseudo)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return pseudo
    ahead = LookAhead(mode, int(a['K']), 'passes' if 'passes' in settings['ema_counter'] else 'iterations',
                      settings['first_iteration_plain'], settings['ema_after_real_step'])
    slots = a['x_labelled'].dim() == 4
    students, teachers, counts, passes = [], [], [], 0
    for i, given in enumerate(zip(a['x_labelled'], a['y_labelled'], a['x_unlabelled'])):
        batches = list(zip(*given)) if slots else [given]
        pseudo, now = ahead.run([(student, teacher)], step, batches, i, passes)
        counts.append(now - passes)
        passes = now
        for network, rows in ((student, students), (teacher.module, teachers)):
            rows.append(torch.cat([network.weight, network.bias[:, None]], 1).detach().clone())
    return dict(student_Wb=torch.stack(students), teacher_Wb=torch.stack(teachers),
                passes_per_iter=torch.tensor(counts), pseudo_last_pass=pseudo)


def fst_deep(arrays, settings):
    """FST-D."""
    return _trajectory(arrays, settings, 'deep')


def fst_ssl(arrays, settings):
    """FST-D of the semi-supervised code."""
    return _trajectory(arrays, settings, 'deep')


def fst_wide(arrays, settings):
    """FST-W."""
    return _trajectory(arrays, settings, 'wide')
